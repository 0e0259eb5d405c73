"""Samples as collapsed stacks: a line per stack, frames outermost first, then its number of ticks.

The format of flamegraph.pl, which inferno, speedscope and others read as well. The span is a frame below the
thread, so that a flame graph can be searched for it.
"""

from __future__ import annotations

from collections import Counter

from ...record.event import Frame
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import SamplingWay, stack_samples


def render(history: History) -> str:
    """The lines, most ticks first."""
    counts: Counter[str] = Counter()
    for sample in stack_samples(history):
        way = "" if sample.way in (SamplingWay.SIGNAL, SamplingWay.EXECUTOR) else f" ({sample.way})"
        parts = [sample.thread + way, f"span {sample.span}" if sample.span else "no span"]
        parts += map(_name, sample.stack) if sample.stack else ["[the loop itself]"]
        counts[";".join(map(_escaped, parts))] += sample.count
    return "".join(f"{line} {count}\n" for line, count in counts.most_common())


def _name(frame: Frame) -> str:
    return f"{frame.function} ({frame.file}:{frame.line})"


def _escaped(part: str) -> str:
    # A name cannot contain the separators of frames and lines.
    return part.replace(";", ",").replace("\n", " ").replace("\r", " ")


FORMAT = RecordFormat("collapsed", extension="collapsed.txt", render=render)
