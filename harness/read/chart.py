"""The timeline of a report as geometry: lanes over one axis of time, in the units of an SVG's view box."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .block import Block
from .document import Document
from .unit import duration

WIDTH, LEFT, RIGHT = 1000.0, 62.0, 8.0
LANE, GAP, BAND, FOOT = 92.0, 34.0, 18.0, 24.0
TICKS = 8
BANDS = 12
LEAST_MARK = 2.5


@dataclass(frozen=True, slots=True)
class Scale:
    """One labelled height of a lane, or moment of the axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a lane as an SVG path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One figure over the time of the run."""

    title: str
    top: float
    bottom: float
    lines: tuple[Line, ...]
    scale: tuple[Scale, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One block in the lane of the loop, standing on its bottom."""

    block: int  # index into the document's blocks
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Band:
    """The time in which a fault was active."""

    label: str
    x: float
    width: float
    top: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    width: float
    height: float
    left: float
    right: float
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...]
    limit: float  # the height of the limit in the lane of the loop
    lanes_top: float
    lanes_bottom: float
    ticks: tuple[Scale, ...]


def chart(document: Document) -> Chart:
    """The lanes that this run has something to say in; the loop's is always there."""
    line = document.timeline
    whole_s = line.step_s * len(line.sent)

    def x(at_s: float) -> float:
        return round(LEFT + min(1.0, max(0.0, at_s / whole_s)) * (WIDTH - LEFT - RIGHT), 2)

    bands = tuple(_bands(document, x))
    tops = [BAND * len(bands) + GAP + index * (LANE + GAP) for index in range(3)]
    edges = [x(index * line.step_s) for index in range(len(line.sent) + 1)]
    held = _Height(tops[0], _round_up((*line.longest_ms, document.run.block_limit_ms)))
    busy = _columns(line.busy_ratio, edges, _Height(tops[0], 1.0))
    lanes = [_lane("Event loop: blocks by length, busy share behind", held, {"busy": busy}, duration)]
    if document.load is not None:
        height = _Height(tops[1], _round_up(line.max_ms))
        paths = {"max": _path(line.max_ms, edges, height), "p99": _path(line.p99_ms, edges, height)}
        lanes.append(_lane("Latency from the intended send time", height, paths, duration))
        rates = {
            name: [count / line.step_s for count in counts]
            for name, counts in (("sent", line.sent), ("completed", line.completed), ("failed", line.failed))
            if name != "failed" or any(counts)
        }
        height = _Height(tops[2], _round_up(value for values in rates.values() for value in values))
        paths = {name: _path(values, edges, height) for name, values in rates.items()}
        lanes.append(_lane("Requests per second", height, paths, lambda value: f"{value:g}"))
    return Chart(
        width=WIDTH,
        height=lanes[-1].bottom + FOOT,
        left=LEFT,
        right=WIDTH - RIGHT,
        lanes=tuple(lanes),
        marks=tuple(_marks(document, held, x)),
        bands=bands,
        limit=held(document.run.block_limit_ms),
        lanes_top=tops[0],
        lanes_bottom=lanes[-1].bottom,
        ticks=tuple(Scale(x(at_s), f"{at_s:g} s") for at_s in _steps(whole_s)),
    )


@dataclass(frozen=True, slots=True)
class _Height:
    """How a lane's values become heights: 0 at its bottom, *highest* at its top."""

    top: float
    highest: float

    @property
    def bottom(self) -> float:
        return self.top + LANE

    def __call__(self, value: float) -> float:
        return round(self.bottom - min(1.0, value / self.highest) * LANE, 2)


def _bands(document: Document, x: Callable[[float], float]) -> Iterator[Band]:
    active = [fault for fault in document.faults if fault.injected][:BANDS]
    for index, fault in enumerate(active):
        start_s = fault.at_s or 0.0
        end = x(start_s + fault.for_s) if fault.for_s is not None else WIDTH - RIGHT
        width = max(LEAST_MARK, round(end - x(start_s), 2))
        yield Band(f"{fault.id} · {fault.kind}", x(start_s), width, index * BAND)


def _marks(document: Document, height: _Height, x: Callable[[float], float]) -> Iterator[Mark]:
    # Marks that would lie on top of each other are one, the longest: a thousand must not fill the file.
    columns: dict[int, tuple[int, Block]] = {}
    for index, block in enumerate(document.blocks):
        column = int(x(block.at_s) / LEAST_MARK)
        if column not in columns or block.held_ms > columns[column][1].held_ms:
            columns[column] = (index, block)
    for index, block in columns.values():
        left, y = x(block.at_s), height(block.held_ms)
        width = max(LEAST_MARK, x(block.at_s + block.held_ms / 1000) - left)
        yield Mark(index, left, y, round(width, 2), round(height.bottom - y, 2))


def _lane(title: str, height: _Height, paths: Mapping[str, str], label: Callable[[float], str]) -> Lane:
    values = (0.0, height.highest / 2, height.highest)
    return Lane(
        title=title,
        top=height.top,
        bottom=height.bottom,
        lines=tuple(Line(name, path) for name, path in paths.items()),
        scale=tuple(Scale(height(value), label(value)) for value in values),
    )


def _path(values: Sequence[float | None], edges: Sequence[float], height: _Height) -> str:
    """A line from middle to middle of the steps, broken where there is no value."""
    parts: list[str] = []
    pen = "M"
    for (left, right), value in zip(pairwise(edges), values, strict=True):
        if value is None:
            pen = "M"
            continue
        # A point between two gaps has no length: the dash makes it visible.
        dash = "h1" if pen == "M" else ""
        parts.append(f"{pen}{(left + right) / 2:g} {height(value):g}{dash}")
        pen = "L"
    return "".join(parts)


def _columns(values: Sequence[float | None], edges: Sequence[float], height: _Height) -> str:
    """An area of columns as wide as their steps."""
    return "".join(
        f"M{left:g} {height.bottom:g}V{height(value):g}H{right:g}V{height.bottom:g}Z"
        for (left, right), value in zip(pairwise(edges), values, strict=True)
        if value
    )


def _round_up(values: Iterable[float | None]) -> float:
    """A number that is easy to read and no smaller than any of *values*, 1 at least."""
    highest = max((value for value in values if value is not None), default=0.0)
    if highest <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * lead for lead in (1, 2, 4, 6, 8, 10) if power * lead >= highest)


def _steps(whole: float) -> list[float]:
    """At most `TICKS` round numbers from 0 to *whole*, and 0 itself."""
    power = 10.0 ** math.floor(math.log10(whole / TICKS))
    step = next(power * lead for lead in (1, 2, 5, 10) if whole / (power * lead) <= TICKS)
    return [round(index * step, 6) for index in range(int(whole / step) + 1)]
