"""Reads the samples of a profile in pprof's format: a gzip- or zstd-packed message of protocol buffers.

Only what a comparison of profilers needs, and without their libraries; `zstandard` for what zstd has packed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ZSTD = b"\x28\xb5\x2f\xfd"
# Of the message `Profile`, and of those within it.
SAMPLE_TYPE, SAMPLE, LOCATION, FUNCTION, STRING = 1, 2, 4, 5, 6

Field = tuple[int, int | bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a profile."""

    functions: tuple[str, ...]  # innermost first
    values: dict[str, int]  # by the profile's names
    labels: dict[str, str | int]


def samples(path: Path) -> list[Sample]:
    """The samples of one file.

    Raises:
        ImportError: It is packed with zstd, and `zstandard` is not installed.
    """
    data = path.read_bytes()
    if data.startswith(ZSTD):
        import zstandard

        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    else:
        data = gzip.decompress(data)
    found: dict[int, list[int | bytes]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    strings = [text.decode() for text in found[STRING]]
    names = [strings[_whole(kind, 1)] for kind in found[SAMPLE_TYPE]]
    functions = {_whole(one, 1): strings[_whole(one, 2)] for one in found.get(FUNCTION, ())}
    locations = {
        _whole(one, 1): [functions[_whole(line, 1)] for number, line in _fields(one) if number == 4]
        for one in found.get(LOCATION, ())
    }

    def label(of: bytes) -> tuple[str, str | int]:
        text = _whole(of, 2)
        return strings[_whole(of, 1)], strings[text] if text else _whole(of, 3)

    return [
        Sample(
            tuple(name for number in _wholes(one, 1) for name in locations[number]),
            dict(zip(names, _wholes(one, 2), strict=True)),
            dict(label(value) for number, value in _fields(one) if number == 3),
        )
        for one in found.get(SAMPLE, ())
    ]


def _fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif key & 7 == 2:
            size, at = _varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"a field of wire type {key & 7}, which no profile has")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _whole(message: bytes, of: int) -> int:
    """The number in that field; one that is 0 is left out of a message."""
    return next((value for number, value in _fields(message) if number == of), 0)


def _wholes(message: bytes, of: int) -> list[int]:
    """All the numbers in that field, packed or each on its own."""
    numbers: list[int] = []
    for number, value in _fields(message):
        if number == of and isinstance(value, int):
            numbers.append(value)
        elif number == of:
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                numbers.append(one)
    return numbers
