"""Runs of two sides that were taken side by side, in memory and in a file.

The sides run in turn, base head head base or the other way round: neighbours meet the same machine, and
neither side is always the second. A file has one pair per line and grows pair by pair, so whatever ends the
taking leaves what was taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import OutputError, RecordError

# What one run measured: the name of a measure, its unit in it -> value.
Measured = Mapping[str, float]

PAIRS = "pairs.jsonl"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A run of the base and one of the head, one directly before the other."""

    base: Measured
    head: Measured


@dataclass(frozen=True, slots=True)
class RunPair:
    """The unit of evidence: a base and a head in both orders. Its runs are not independent, pairs are."""

    neighbours: tuple[Neighbours, ...]


def append(path: Path, pair: RunPair) -> None:
    """Add a pair to the file.

    Raises:
        OutputError: It cannot be written, since the disk is full.
    """
    line = json.dumps([[dict(both.base), dict(both.head)] for both in pair.neighbours])
    try:
        with path.open("a") as file:
            file.write(f"{line}\n")
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc


def read(path: Path) -> tuple[RunPair, ...]:
    """The pairs in the file; a last line that was cut off is left out.

    Raises:
        RecordError: The file cannot be read, or is damaged.
    """
    try:
        lines = path.read_text().split("\n")
    except OSError as exc:
        raise RecordError(f"{path}: cannot be read: {exc.strerror}") from exc
    try:
        return tuple(_pair(json.loads(line)) for line in lines[:-1])
    except (ValueError, TypeError, AttributeError) as exc:
        raise RecordError(f"{path}: damaged: {exc}") from exc


def _pair(raw: list[list[dict[str, float]]]) -> RunPair:
    return RunPair(tuple(Neighbours(_measured(base), _measured(head)) for base, head in raw))


def _measured(raw: dict[str, float]) -> Measured:
    return {name: float(value) for name, value in raw.items()}
