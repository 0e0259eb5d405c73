"""What kept a service from taking more load, from the report of a run in which it no longer could."""

from __future__ import annotations

from collections import Counter

from ..figures.timeline import Timeline
from ..finding import Level
from ..judge.outcome import OutcomeName
from ..report import Report, exit_status
from ..samples.flame_graph import Called, FlameGraph
from ..units import duration, percent
from .search import RateStep

# A loop that is busy for this share of the time has no room for more.
FULL_RATIO = 0.85
# From this share on, requests that come at random wait for each other.
QUEUEING_RATIO = 0.5


def is_the_drivers(document: Report) -> bool:
    """Whether the load driver could not send what was asked for."""
    return document.run.outcome == OutcomeName.INVALID and any(
        finding.rule == "load" and finding.invalid for finding in document.findings
    )


def sentence(document: Report) -> str:
    """The limit in one sentence, without a full stop: the loop with its line, or what was found."""
    if is_the_drivers(document):
        return "the load driver itself, which cannot send more on this machine"
    if document.run.outcome == OutcomeName.CRASHED:
        return f"the target, which died: {document.run.reason}"
    busy, spent = busy_under_load(document.timeline), _mostly_in(document.icicle)
    figures = f"busy {percent(busy)} under load{spent}"
    if busy is not None and busy >= FULL_RATIO:
        return f"the loop: {figures}"
    grave = [one for one in document.findings if one.rule != "load" and one.level != Level.NOTE]
    if grave:
        return grave[0].message
    if document.blockers:
        return document.blockers[0].sentence
    if busy is not None and busy >= QUEUEING_RATIO:
        return f"the loop, in which requests queue: {figures}"
    return f"nothing that the loop shows: {figures}, lag p99 {duration(document.loop.lag_ms.p99)}"


def busy_under_load(line: Timeline) -> float | None:
    """The mean share of the loop's time in turns while requests came."""
    steps = zip(line.busy_ratio, line.sent or (), strict=False)
    busy = [ratio for ratio, sent in steps if sent and ratio is not None]
    return sum(busy) / len(busy) if busy else None


def _mostly_in(samples: FlameGraph | None) -> str:
    """The function of the program in which the loop spent most of its time, with its line."""
    if samples is None or samples.only_late:
        return ""
    took_ms: dict[tuple[str, str], Counter[str]] = {}
    whole_ms = 0.0
    for row in samples.rows:
        if samples.threads[row.thread].on_loop:
            whole_ms += row.took_ms
            if (line := _own_line(samples, row.call)) is not None:
                by_line = took_ms.setdefault((line.function, line.where.rpartition(":")[0]), Counter())
                by_line[line.where] += row.took_ms  # type: ignore[assignment]  # a counter of times
    if not took_ms:
        return ""
    (function, _), by_line = max(took_ms.items(), key=lambda item: item[1].total())
    ((where, _),) = by_line.most_common(1)
    return f", {percent(by_line.total() / whole_ms)} of its time in {function} ({where})"


def _own_line(samples: FlameGraph, call: int) -> Called | None:
    """The innermost line of the program's own code; calls are numbered from 1."""
    while call:
        line = samples.lines[samples.called[call - 1]]
        if line.own:
            return line
        call = samples.callers[call - 1]
    return None


def step_of(judged: Report, rate_per_s: float, folder: str) -> RateStep:
    """What the run at that rate tells the search."""
    status = exit_status(judged)
    latency = judged.load.latency_ms if judged.load is not None else None
    return RateStep(
        rate_per_s=rate_per_s,
        outcome=judged.run.outcome,
        exit_status=status,
        by_the_driver=is_the_drivers(judged),
        p50_ms=latency.p50 if latency is not None else None,
        p99_ms=latency.p99 if latency is not None else None,
        busy_ratio=busy_under_load(judged.timeline),
        lag_p99_ms=judged.loop.lag_ms.p99,
        verdict=judged.run.verdict,
        limited_by=sentence(judged) if status else "",
        folder=folder,
    )
