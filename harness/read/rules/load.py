"""Whether the load arrived on schedule and was really sent; if not, the run measured something else."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import FaultInjected, FaultUndone, LoadEnded, LoadStarted, RunEnded
from ..evidence import Evidence
from ..figures.load import Load
from ..figures.target import crash
from ..finding import Finding, Level
from ..history import History
from ..units import duration, percent, plural, seconds

ORDER = 40

# From this share of one processor on, requests queue in the driver itself.
BUSY_RATIO = 0.9
# From this share of the time on, the driver's waiting for a processor is a reason for late requests.
QUEUED_RATIO = 0.1
# A schedule that ended earlier than this was cut off.
CUT_OFF_S = 0.5
# Kinds of failures that are listed.
LISTED = 5
# Characters of an example's message.
EXAMPLE_CHARS = 120
_ADVICE = {
    "descriptor": "raise its limit (`ulimit -n`), or lower load.rate_per_s or load.timeout_s",
    "port": "lower load.rate_per_s, or let the target keep connections open",
    "name": "use an address instead of a name in load.url",
    "memory": "lower load.rate_per_s or load.timeout_s",
}


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Errors for load that came late or was not sent, a warning for failed requests."""
    history, load = evidence.history, evidence.load
    if load is None:
        return
    limit_ms, late_ms = history.run.max_late_ms, load.late_ms.p99
    if limit_ms is not None and late_ms is not None and late_ms > limit_ms:
        message = f"the load came late: p99 {duration(late_ms)}, limit {duration(limit_ms)}"
        yield Finding("load", Level.ERROR, message + _why_late(history), invalid=True)
    elif (busy := _busy_ratio(history)) is not None and busy >= BUSY_RATIO:
        message = f"the load driver used {percent(busy)} of a processor: latencies include its own queue"
        yield Finding("load", Level.WARNING, message)
    if not load.offered and history.last(LoadEnded) is not None:
        message = "no request was due in the time of the load: raise load.rate_per_s or load.duration_s"
        yield Finding("load", Level.ERROR, message, invalid=True)
    yield from _cut_off(history)
    yield from _failures(history, load)


def _cut_off(history: History) -> Iterator[Finding]:
    """A driver that ended its schedule early, though nobody has asked the run to end."""
    started, ended, over = history.last(LoadStarted), history.last(LoadEnded), history.last(RunEnded)
    if started is None or ended is None or over is None or over.interrupted or crash(history) is not None:
        return
    lasted_s = seconds(ended.at_ns - started.at_ns)
    if lasted_s < started.duration_s - CUT_OFF_S:
        message = (
            f"the load driver was stopped after {max(0.0, lasted_s):.1f} s of {started.duration_s:g} s: "
            "the rest of the load was not sent"
        )
        yield Finding("load", Level.ERROR, message, invalid=True)


def _failures(history: History, load: Load) -> Iterator[Finding]:
    for failure in load.failures:
        if failure.is_the_drivers:
            advice = next((text for word, text in _ADVICE.items() if word in failure.what), "")
            message = f"{plural(failure.count, 'request')} could not be sent: {failure.what} ({advice})"
            yield Finding("load", Level.ERROR, message, invalid=True)
    others = [failure for failure in load.failures if not failure.is_the_drivers]
    if others:
        failed = sum(failure.count for failure in others)
        kinds = [f"{failure.count:,} × {failure.what}" for failure in others[:LISTED]]
        if len(others) > LISTED:
            kinds.append(f"{plural(len(others) - LISTED, 'other kind')}")
        example = others[0].example
        quoted = f"; for example {_short(example)}" if example != others[0].what else ""
        message = f"{plural(failed, 'request')} failed: {', '.join(kinds)}{quoted}{_beside_faults(history)}"
        yield Finding("load", Level.WARNING, message)


def _beside_faults(history: History) -> str:
    """How many of the requests that failed were under way while a planned fault was in force."""
    undone = {event.id: event.at_ns for event in history.of(FaultUndone)}
    injected = history.of(FaultInjected)
    failed = [
        (request.intended_ns, request.done_ns or history.ended_ns)
        for request in history.requests
        if request.counts and not request.ok and request.intended_ns is not None
        if request.kind is None or not request.kind.is_the_drivers
    ]
    if not injected or not failed:
        return ""
    during = {}
    for event in injected:
        over_ns = undone.get(event.id, history.ended_ns)
        during[event.id] = sum(due_ns < over_ns and event.at_ns < done_ns for due_ns, done_ns in failed)
    told = [f"{count:,} while fault {name} was in force" for name, count in during.items() if count]
    return f"; {', '.join(told[:LISTED])}" if told else "; none while a fault was in force"


def _short(example: str) -> str:
    return example if len(example) <= EXAMPLE_CHARS else example[:EXAMPLE_CHARS] + "…"


def _busy_ratio(history: History) -> float | None:
    ended = history.last(LoadEnded)
    return ended.cpu_ns / ended.elapsed_ns if ended is not None and ended.elapsed_ns else None


def _why_late(history: History) -> str:
    ended, busy = history.last(LoadEnded), _busy_ratio(history)
    if ended is None or busy is None:
        return ""
    if busy >= BUSY_RATIO:
        return f"; the driver used {percent(busy)} of a processor: it cannot send faster than this"
    queued = ended.queued_ns / ended.elapsed_ns
    if queued >= QUEUED_RATIO:
        return f"; the driver waited for a processor {percent(queued)} of the time: the machine is too busy"
    return ""
