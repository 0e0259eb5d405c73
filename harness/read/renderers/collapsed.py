"""Samples as collapsed stacks: one line each, frames outermost first, and how many ticks it stands for.

The format of flamegraph.pl, which inferno, speedscope and others read as well. Below the thread stands the
span, so that a flame graph can be searched for it.
"""

from __future__ import annotations

from collections import Counter

from ...record.event import Frame
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import SamplingWay, stack_samples


def render(history: History) -> str:
    """The lines, those of the most ticks first."""
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
    # What separates frames and lines cannot be part of a name.
    return part.replace(";", ",").replace("\n", " ").replace("\r", " ")


FORMAT = RecordFormat("collapsed", extension="collapsed.txt", render=render)
