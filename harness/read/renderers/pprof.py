"""Samples as a pprof profile: gzipped protocol buffers, for ``go tool pprof`` and compatible tools.

The message is small and has not changed for years, so it is encoded here without a library: a field is its
number and type, then its value; integers have seven bits per byte.
https://github.com/google/pprof/blob/main/proto/profile.proto
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import TypeVar

from ...record.event import Frame, WriterOpened
from ..formats import RecordFormat
from ..history import History
from ..samples.sample import stack_samples

K = TypeVar("K")
Fields = Iterable[tuple[int, "int | bytes"]]


def render(history: History) -> bytes:
    """The profile; each sample has its span, task, thread and ids as labels."""
    strings: _Numbered[str] = _Numbered(first=0)
    functions: _Numbered[tuple[str, str]] = _Numbered()
    locations: _Numbered[Frame] = _Numbered()
    strings[""]  # must be the first
    profile: list[tuple[int, int | bytes]] = [
        (1, _message([(1, strings["samples"]), (2, strings["count"])])),
        (1, _message([(1, strings["wall"]), (2, strings["nanoseconds"])])),
    ]
    samples = stack_samples(history)
    for sample in samples:
        stack = (locations[frame] for frame in reversed(sample.stack))
        names = ("thread", "way", "task", "coroutine", "span", "trace_id", "span_id")
        labels = [(name, getattr(sample, name)) for name in names]
        body: list[tuple[int, int | bytes]] = [
            (1, b"".join(map(_varint, stack))),
            (2, _varint(sample.count) + _varint(sample.weight_ns)),
            *((3, _message([(1, strings[key]), (2, strings[text])])) for key, text in labels if text),
            (3, _message([(1, strings["pid"]), (3, sample.pid)])),
        ]
        profile.append((2, _message(body)))
    for frame, number in locations.items():
        line = _message([(1, functions[frame.file, frame.function]), (2, frame.line)])
        profile.append((4, _message([(1, number), (4, line)])))
    for (file, function), number in functions.items():
        name = strings[function]
        profile.append((5, _message([(1, number), (2, name), (3, name), (4, strings[file])])))
    profile += [
        (9, _wall_ns(history)),
        (10, max(0, history.since_start_ns(history.ended_ns))),
        (11, _message([(1, strings["wall"]), (2, strings["nanoseconds"])])),
        (12, max((sample.weight_ns // sample.count for sample in samples), default=0)),
    ]
    profile += [(6, text.encode("utf-8", "backslashreplace")) for text in strings]
    return gzip.compress(_message(profile), mtime=0)


class _Numbered(dict[K, int]):
    """Numbers its keys in order of first use."""

    def __init__(self, first: int = 1) -> None:
        self._first = first

    def __missing__(self, key: K) -> int:
        self[key] = number = len(self) + self._first
        return number


def _wall_ns(history: History) -> int:
    opened = history.of(WriterOpened)
    return opened[0].wall_ns - opened[0].at_ns + history.run.started_ns if opened else 0


def _message(fields: Fields) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, bytes):
            parts.append(_varint(number << 3 | 2) + _varint(len(value)) + value)
        elif value:
            parts.append(_varint(number << 3) + _varint(value))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


FORMAT = RecordFormat("pprof", extension="pb.gz", render=render)
