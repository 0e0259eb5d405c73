"""Samples for speedscope (https://www.speedscope.app): a profile for each thread of each process.

The root frame of each stack is its span, so that the "left heavy" view is grouped by span.
"""

from __future__ import annotations

from collections import defaultdict

from ...record.event import Frame
from ...stacks.formats import SpeedscopeProfile, speedscope
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import SamplingWay, StackSample, stack_samples

# What a reader must know about how the samples were taken.
BIAS = {
    SamplingWay.THREAD: ", biased",
    SamplingWay.EXECUTOR: ", biased",
    SamplingWay.OUTSIDE: ", from outside",
    SamplingWay.LATE: ", late turns only",
}


def render(history: History) -> str:
    """The file as JSON."""
    threads: dict[tuple[int, str, SamplingWay], list[StackSample]] = defaultdict(list)
    for sample in stack_samples(history):
        threads[sample.pid, sample.thread, sample.way].append(sample)
    profiles = [_profile(key, samples) for key, samples in sorted(threads.items())]
    name = f"{history.run.scenario} {history.run.id}"
    return speedscope(profiles, name=name, exporter="harness", activeProfileIndex=0)


def _profile(key: tuple[int, str, SamplingWay], samples: list[StackSample]) -> SpeedscopeProfile:
    pid, thread, way = key
    spans = (f"span {sample.span}" if sample.span else "no span" for sample in samples)
    stacks = [((Frame("", 0, span), *s.stack), s.weight_ns) for span, s in zip(spans, samples, strict=True)]
    return SpeedscopeProfile(f"{thread} of process {pid}{BIAS.get(way, '')}", "nanoseconds", stacks)


FORMAT = RecordFormat("speedscope", extension="speedscope.json", render=render)
