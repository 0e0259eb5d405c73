"""The measures of a record: what the target did for one request, as far as that is steady.

Times are of the target between the first request and the last answer, so its start is not in them. With load,
they are for one request that was answered; of a program that ended by itself, for the whole run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from ....record.comparison.pairs import Measured
from ....record.event import GaugesRead, LoopSampled, ProbeClosed, SpanEnded
from ....stacks.cause import Cause
from ...evidence import Evidence
from ...figures.target import ended_by_itself
from ...history import History
from ...percentile import percentiles
from ..paired.measure import Measure, MeasureGate
from .counter import between, by_loop
from .gated import gated
from .program import unit_of
from .steps import step_counts

LOOP_CPU, PROCESS_CPU = "loop_cpu_us", "process_cpu_us"
# Requests by the time at which they were due are cut into this many windows at most, of this many at least.
# The quantile of a run is the median of those of its windows: one hiccup of the machine is in one of them.
WINDOWS, IN_WINDOW = 8, 40
# Below these amounts a difference is of no interest; see `Measure.floor`.
_FLOORS = {
    "blocks_per_1000": 1.0,
    "held_ms_per_1000": 20.0,
    "turns": 0.05,
    "tasks": 0.05,
    "callbacks": 0.05,
    "spans": 0.05,
    "failed_per_1000": 1.0,
    "lost": 1.0,
    "leaked_tasks": 20.0,
    "findings": 1.0,
    "peak_mb": 1.0,
}
# Steady enough that a slowdown is one. Latency and wall clock are not, and decide only if they are asked for.
_ALARMS = (
    *(PROCESS_CPU, "spans", "blocks_per_1000", "held_ms_per_1000", "failed_per_1000", "lost"),
    *("leaked_tasks", "peak_mb"),
)


def of_record(evidence: Evidence) -> Measured:
    """What one record measured; what it does not know is left out."""
    history = evidence.history
    return {name: float(value) for name, value in _figures(evidence, units(history)) if value is not None}


def measures(names: Iterable[str], asked: Mapping[str, float | None], *, limit: float) -> tuple[Measure, ...]:
    """One measure for each figure.

    Args:
        names: What the records have.
        asked: What decides instead of the default, each with its own limit or None.
        limit: The smallest slowdown that matters.
    """
    known = list(dict.fromkeys(names))
    gates = dict.fromkeys(_ALARMS, MeasureGate.ALARMS)
    gates[LOOP_CPU if LOOP_CPU in known else PROCESS_CPU] = MeasureGate.DECIDES
    return gated(known, asked, gates, limit=limit, floors=_FLOORS, unit_of=_unit)


def _unit(name: str) -> str:
    return unit_of(name.removesuffix("_per_1000").split(":")[0])


def units(history: History) -> float:
    """How many requests were answered; 1 for a program that ended by itself, 0 where nothing is known."""
    answered = sum(request.ok for request in history.requests)
    return float(answered or ended_by_itself(history))


def loaded(history: History) -> tuple[int, int]:
    """From the first request to the last answer; the whole run where there are none."""
    due = [request.intended_ns for request in history.requests if request.intended_ns is not None]
    done = [request.done_ns for request in history.requests if request.done_ns is not None]
    return min(due, default=0), max(done, default=history.ended_ns)


def _figures(evidence: Evidence, units: float) -> Iterator[tuple[str, float | None]]:
    history = evidence.history
    if not units:
        return
    if history.requests:
        yield from _under_load(history, units)
    else:
        yield from _of_whole_run(evidence)
    if (counts := step_counts(history, *loaded(history))) is not None:
        yield "tasks", counts.tasks.total() / units
        yield "callbacks", counts.callbacks / units
    spans = [span for span in history.of(SpanEnded) if span.pid]
    yield "spans", len(spans) / units if spans or evidence.spans.recorded == 0 else None
    per_1000 = 1000 / units if history.requests else 1.0
    # What the machine did to the process is no block of the program's.
    held = [block.held_ms for block in evidence.blocks if block.cause != Cause.DESCHEDULED]
    yield "blocks_per_1000", len(held) * per_1000
    yield "held_ms_per_1000", sum(held) * per_1000
    yield "leaked_tasks", sum(leak.count for leak in evidence.leaks)
    readings = [read.rss_bytes for read in history.of(GaugesRead) if read.rss_bytes is not None]
    yield "peak_mb", max(readings) / 1e6 if readings else None
    if evidence.load is not None:
        yield "failed_per_1000", evidence.load.failed * per_1000
        yield from _latency(history)
    if evidence.ledger is not None:
        yield "lost", evidence.ledger.lost
    for name in evidence.spans.by_name:
        for part in ("run", "ready", "wait"):
            yield f"span_{part}_ms:{name.name}", getattr(name, f"{part}_ms")


def _of_whole_run(evidence: Evidence) -> Iterator[tuple[str, float | None]]:
    """Of a program that ended by itself, from its start to its end; its loops' threads are not told apart."""
    closed = evidence.history.of(ProbeClosed)
    # Without the time of a process that was killed, the program would look faster than it was.
    is_known = closed and not evidence.history.cut_off
    yield PROCESS_CPU, sum(event.process_cpu_ns for event in closed) / 1e3 if is_known else None
    yield "turns", evidence.loop.turns
    yield "duration_ms", evidence.duration_s * 1e3


def _under_load(history: History, units: float) -> Iterator[tuple[str, float | None]]:
    """CPU time of the loops' threads and of their processes, and turns, while requests came."""
    from_ns, to_ns = loaded(history)
    thread_ns = process_ns = turns = 0
    counted: set[int] = set()
    for (pid, _), samples in by_loop(history.of(LoopSampled)).items():
        thread_ns += between(samples, "thread_cpu_ns", from_ns, to_ns)
        turns += between(samples, "turns", from_ns, to_ns)
        if pid not in counted:  # a process with several loops has been counted with the first
            process_ns += between(samples, "process_cpu_ns", from_ns, to_ns)
            counted.add(pid)
    yield LOOP_CPU, thread_ns / 1e3 / units if thread_ns else None
    yield PROCESS_CPU, process_ns / 1e3 / units if process_ns else None
    yield "turns", turns / units if turns else None


def _latency(history: History) -> Iterator[tuple[str, float | None]]:
    due = sorted(
        (request.intended_ns, (request.done_ns or history.ended_ns) - request.intended_ns)
        for request in history.requests
        if request.intended_ns is not None
    )
    if not due:
        return
    count = max(1, min(WINDOWS, len(due) // IN_WINDOW))
    windows = [due[len(due) * n // count : len(due) * (n + 1) // count] for n in range(count)]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        quantiles = [percentiles([took for _, took in window], (share,))[0] or 0.0 for window in windows]
        yield f"latency_{name}_ms", median(quantiles) / 1e6
