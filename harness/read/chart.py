"""The timeline of a report as data for its chart: lanes on one time axis, with faults and blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .blocks.block import Block
from .figures.timeline import Timeline
from .report import Report

# The chart has this many columns, and shows the longest block of each.
COLUMNS = 240
BANDS = 12


class SeriesStyle(StrEnum):
    """How a line is drawn; series of one lane differ in it, so that they are distinct without colour."""

    LINE = "line"
    DASHED = "dashed"
    AREA = "area"
    POINTS = "points"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a lane: a value per step, null where there is none."""

    name: str
    unit: str  # "ms", "share" or "per second"
    tone: str  # its colour, a variable of the style sheet
    style: SeriesStyle
    values: tuple[float | None, ...]
    dots: tuple[int, ...] = ()  # of points: the steps that have one


@dataclass(frozen=True, slots=True)
class Lane:
    """One subject over the time of the run."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """The time in which a fault was active; bands that overlap are in different rows."""

    label: str
    from_s: float
    to_s: float
    row: int


@dataclass(frozen=True, slots=True)
class Chart:
    """All data of the chart."""

    whole_s: float
    step_s: float
    limit_ms: float
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    stalls: tuple[tuple[int, Block], ...]  # with their index in the report, in order of time


def chart(document: Report) -> Chart:
    """The lanes for which this run has data; the loop's is always included."""
    line = document.timeline
    whole_s = line.step_s * len(line.busy_ratio)
    lanes = [
        Lane(
            "Event loop: busy share (shaded), longest turn (dots) and blocks (red bars)",
            (
                Series("busy", "share", "--busy", SeriesStyle.AREA, line.busy_ratio),
                Series("longest turn", "ms", "--line", SeriesStyle.POINTS, line.longest_ms, _dots(document)),
            ),
        )
    ]
    if document.load is not None:
        lanes += [
            Lane(f"Latency of the requests due in each {line.step_s:g} s", tuple(_latency(line))),
            Lane("Requests per second", tuple(_requests(line))),
        ]
    return Chart(
        whole_s=whole_s,
        step_s=line.step_s,
        limit_ms=document.run.block_limit_ms,
        lanes=tuple(lanes),
        bands=tuple(_bands(document, whole_s)),
        stalls=_stalls(document, whole_s),
    )


def _dots(document: Report) -> tuple[int, ...]:
    """The steps whose longest turn is no block: a block has its bar."""
    line = document.timeline
    blocked = {
        index
        for block in document.blocks
        for index in range(
            int(block.at_s / line.step_s), int((block.at_s + block.held_ms / 1000) / line.step_s) + 1
        )
    }
    return tuple(n for n, value in enumerate(line.longest_ms) if value is not None and n not in blocked)


def _latency(line: Timeline) -> Iterator[Series]:
    """The median, a tail that the number of requests in a step supports, and the slowest."""
    known = [p99 for p99, slowest in zip(line.p99_ms, line.max_ms, strict=True) if slowest is not None]
    name, tail = ("p90", line.p90_ms) if None in known else ("p99", line.p99_ms)
    yield Series("p50", "ms", "--good", SeriesStyle.LINE, line.p50_ms)
    yield Series(name, "ms", "--line", SeriesStyle.LINE, tail)
    yield Series("slowest", "ms", "--faint", SeriesStyle.DASHED, line.max_ms)


def _requests(line: Timeline) -> Iterator[Series]:
    yield Series("sent", "per second", "--faint", SeriesStyle.DASHED, _rates(line.sent, line.step_s))
    yield Series("completed", "per second", "--line", SeriesStyle.LINE, _rates(line.completed, line.step_s))
    if any(line.failed or ()):
        yield Series("failed", "per second", "--block", SeriesStyle.LINE, _rates(line.failed, line.step_s))


def _rates(counts: Sequence[int] | None, step_s: float) -> tuple[float, ...]:
    return tuple(round(count / step_s, 2) for count in counts or ())


def _bands(document: Report, whole_s: float) -> Iterator[Band]:
    rows: list[float] = []  # the end of the last band in each
    for fault in [fault for fault in document.faults if fault.injected][:BANDS]:
        from_s = fault.at_s or 0.0
        to_s = min(whole_s, from_s + fault.for_s) if fault.for_s is not None else whole_s
        row = next((row for row, until_s in enumerate(rows) if until_s <= from_s), len(rows))
        rows[row : row + 1] = [to_s]
        yield Band(f"{fault.id} · {fault.kind}", from_s, to_s, row)


def _stalls(document: Report, whole_s: float) -> tuple[tuple[int, Block], ...]:
    columns: dict[int, tuple[int, Block]] = {}
    for index, block in enumerate(document.blocks):
        column = int(block.at_s / whole_s * COLUMNS)
        if column not in columns or block.held_ms > columns[column][1].held_ms:
            columns[column] = (index, block)
    return tuple(sorted(columns.values(), key=lambda stall: stall[1].at_s))
