"""The samples of a trace as marks on its waterfall: in which span, when, and in which call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ...record.event import Frame
from ..history import History
from ..spans.span import Waterfall
from ..units import ms
from .sample import StackSample

# Maximum number of marks per trace. Beyond it, consecutive marks of one place are merged, then the longest
# kept.
MARKS = 240
# Marks of one place are consecutive if at most one tick is missing between them.
GAP_MS = 1.0


class SampleMark(NamedTuple):
    """One sample on a waterfall, or several that were merged. Times count from the trace's start."""

    trace: int  # its number in the report
    span: int  # its row
    from_ms: float  # the time that it stands for ...
    to_ms: float  # ... up to when it was taken
    samples: int  # how many samples it stands for
    thread: int  # its index in the flame graph
    call: int  # likewise; 0 for none: the loop itself


@dataclass(frozen=True, slots=True)
class TraceSamples:
    """The marks of all traces, in order of time, and how many samples were left out."""

    marks: tuple[SampleMark, ...]
    left_out: int


def marked(
    history: History,
    samples: Iterable[StackSample],
    traces: tuple[Waterfall, ...],
    thread_of: Callable[[StackSample], int],
    call_of: Callable[[tuple[Frame, ...]], int | None],
) -> TraceSamples:
    """The samples of *traces* on their spans; those of a span that is not shown are left out."""
    numbers = {trace.trace_id: number for number, trace in enumerate(traces)}
    rows = [{span.span_id: row for row, span in enumerate(trace.spans)} for trace in traces]
    found: dict[int, list[SampleMark]] = defaultdict(list)
    left_out = 0
    for sample in samples:
        if (number := numbers.get(sample.trace_id)) is None:
            continue
        row, call = rows[number].get(sample.span_id), call_of(sample.stack)
        if row is None or call is None:
            left_out += len(sample.ticks)
            continue
        trace, span = traces[number], traces[number].spans[row]
        starts_ms = (span.at_s - trace.at_s) * 1000
        for tick in sample.ticks:
            # The time before the span's start belongs to what ran before it.
            from_ms = max(starts_ms, _since_ms(history, trace, tick.from_ns))
            to_ms = min(starts_ms + span.took_ms, _since_ms(history, trace, tick.to_ns))
            times = round(min(from_ms, to_ms), 2), round(to_ms, 2)
            found[number].append(SampleMark(number, row, *times, 1, thread_of(sample), call))
    marks: list[SampleMark] = []
    for members in found.values():
        kept = _bounded(sorted(members, key=_place))
        left_out += sum(mark.samples for mark in members) - sum(mark.samples for mark in kept)
        marks += kept
    return TraceSamples(tuple(marks), left_out)


def _bounded(marks: list[SampleMark]) -> list[SampleMark]:
    """At most `MARKS` of the *marks* of one trace, in order of rows and time."""
    if len(marks) > MARKS:
        marks = _merged(marks)
    longest = sorted(marks, key=lambda mark: mark.from_ms - mark.to_ms)[:MARKS]
    return sorted(longest, key=_place)


def _merged(marks: list[SampleMark]) -> list[SampleMark]:
    merged = marks[:1]
    for before, mark in pairwise(marks):
        gap_ms = max(GAP_MS, before.to_ms - before.from_ms)
        if (before.span, before.thread, before.call) == (mark.span, mark.thread, mark.call) and (
            mark.from_ms - before.to_ms <= gap_ms
        ):
            last = merged[-1]
            merged[-1] = last._replace(to_ms=max(last.to_ms, mark.to_ms), samples=last.samples + mark.samples)
        else:
            merged.append(mark)
    return merged


def _place(mark: SampleMark) -> tuple[int, int, float, float]:
    return mark.trace, mark.span, mark.from_ms, mark.to_ms


def _since_ms(history: History, trace: Waterfall, at_ns: int) -> float:
    return ms(history.since_start_ns(at_ns)) - trace.at_s * 1000
