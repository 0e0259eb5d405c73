"""Samples for speedscope (https://www.speedscope.app): a profile for each thread of each process.

The root frame of each stack is its span, so that the "left heavy" view is grouped by span.
"""

from __future__ import annotations

import json
from collections import defaultdict

from ...record.event import Frame
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import SamplingWay, StackSample, stack_samples

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
# What the reader needs to know about the way of sampling.
BIAS = {
    SamplingWay.THREAD: ", biased",
    SamplingWay.EXECUTOR: ", biased",
    SamplingWay.OUTSIDE: ", from outside",
    SamplingWay.LATE: ", late turns only",
}


def render(history: History) -> str:
    """The file as JSON."""
    frames: dict[tuple[str, str, int], int] = {}
    threads: dict[tuple[int, str, SamplingWay], list[StackSample]] = defaultdict(list)
    for sample in stack_samples(history):
        threads[sample.pid, sample.thread, sample.way].append(sample)
    profiles = [_profile(key, samples, frames) for key, samples in sorted(threads.items())]
    document = {
        "$schema": SCHEMA,
        "name": f"{history.run.scenario} {history.run.id}",
        "exporter": "harness",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(*frame) for frame in frames]},
        "profiles": profiles,
    }
    return json.dumps(document) + "\n"


def _profile(
    key: tuple[int, str, SamplingWay], samples: list[StackSample], frames: dict[tuple[str, str, int], int]
) -> dict[str, object]:
    pid, thread, way = key

    def number(frame: Frame) -> int:
        return frames.setdefault((frame.function, frame.file, frame.line), len(frames))

    weights = [sample.weight_ns for sample in samples]
    return {
        "type": "sampled",
        "name": f"{thread} of process {pid}{BIAS.get(way, '')}",
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [[number(_root(sample)), *map(number, sample.stack)] for sample in samples],
        "weights": weights,
    }


def _root(sample: StackSample) -> Frame:
    return Frame("", 0, f"span {sample.span}" if sample.span else "no span")


def _frame(function: str, file: str, line: int) -> dict[str, object]:
    return {"name": function, "file": file, "line": line} if file else {"name": function}


FORMAT = RecordFormat("speedscope", extension="speedscope.json", render=render)
