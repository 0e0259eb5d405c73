"""Samples as collapsed stacks: a line per stack, frames outermost first, then its number of ticks.

The format of flamegraph.pl, which inferno, speedscope and others also read. The span is a frame below the
thread, so that a flame graph can be searched for it.
"""

from __future__ import annotations

from ...record.event import Frame
from ...stacks.formats import collapsed
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import SamplingWay, StackSample, stack_samples


def render(history: History) -> str:
    """The lines, most ticks first."""
    return collapsed((_parts(sample), sample.count) for sample in stack_samples(history))


def _parts(sample: StackSample) -> tuple[str | Frame, ...]:
    way = "" if sample.way in (SamplingWay.SIGNAL, SamplingWay.EXECUTOR) else f" ({sample.way})"
    span = f"span {sample.span}" if sample.span else "no span"
    return (sample.thread + way, span, *(sample.stack or ("[the loop itself]",)))


FORMAT = RecordFormat("collapsed", extension="collapsed.txt", render=render)
