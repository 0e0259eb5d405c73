"""The trends as one self-contained page in the style of `report.html`: drawings with their points as text.

All places are computed here; the template lays them out. It needs no script but for the colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from jinja2 import Template

from ..read.page_environment import page_environment
from ..read.units import plural, quantity
from .table import when
from .trend import ChangePoint, MetricTrend, sentence

# The drawing, in its own units.
WIDTH, HEIGHT = 960, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 12, 14, 24


@dataclass(frozen=True, slots=True)
class DrawnPoint:
    """A run in the drawing."""

    x: float
    y: float
    title: str
    is_change: bool


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A level, or a rule of the scale with its figure."""

    x: float
    to_x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class DrawnChange:
    """A change in the drawing, and what is said about it."""

    x: float
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """One trend, ready to be laid out."""

    title: str
    scenario: str
    meaning: str
    count: str
    summary: str  # for whoever cannot see it
    points: tuple[DrawnPoint, ...]
    levels: tuple[DrawnLine, ...]
    scale: tuple[DrawnLine, ...]
    changes: tuple[DrawnChange, ...]
    ends: tuple[str, str]
    unknown: str


def render(trends: Sequence[MetricTrend]) -> str:
    """The page; one section for each trend, those that changed first."""
    changed_first = sorted(trends, key=lambda trend: not trend.changes)
    return _template().render(
        drawings=[_drawing(trend) for trend in changed_first],
        changed=sum(bool(trend.changes) for trend in trends),
        runs=plural(len({point.id for trend in trends for point in trend.points}), "run"),
        width=WIDTH,
        height=HEIGHT,
        version=version("asyncio-harness"),
    )


@cache
def _template() -> Template:
    return page_environment(__package__).get_template("page/trends.html.j2")


def _drawing(trend: MetricTrend) -> Drawing:
    values = [point.value for point in trend.points]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)

    def x(place: float) -> float:
        return round(_LEFT + place * step, 1) if len(values) > 1 else WIDTH / 2

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    starts = {change.at for change in trend.changes}
    return Drawing(
        title=trend.key,
        scenario=trend.scenario,
        meaning=trend.meaning,
        count=plural(len(values), "run"),
        summary=f"{trend.key} of {trend.scenario}, {plural(len(trend.changes), 'change')}",
        points=tuple(
            DrawnPoint(x(n), y(point.value), _title(trend, n), n in starts)
            for n, point in enumerate(trend.points)
        ),
        levels=tuple(
            DrawnLine(x(level.start), x(level.end - 1), y(level.value), quantity(level.value, trend.unit))
            for level in trend.levels
        ),
        scale=tuple(
            DrawnLine(_LEFT, WIDTH - _RIGHT, y(value), quantity(value, trend.unit))
            for value in dict.fromkeys((max(values), min(values)))
        ),
        changes=tuple(_changes(trend, x(0.5) - x(0) if len(values) > 1 else 0.0, x)),
        ends=(when(trend.points[0].started), when(trend.points[-1].started)),
        unknown=trend.unknown,
    )


def _changes(trend: MetricTrend, half: float, x: Callable[[float], float]) -> Iterator[DrawnChange]:
    for change in trend.changes:
        yield DrawnChange(round(x(change.at) - half, 1), _label(change), sentence(trend, change))


def _label(change: ChangePoint) -> str:
    share = f"{change.change * 100:+.0f} %" if change.change is not None else "changed"
    return f"{share} {change.commit[:9]}".strip()


def _title(trend: MetricTrend, place: int) -> str:
    point = trend.points[place]
    commit = f"\ncommit {point.commit}" if point.commit else ""
    return f"{quantity(point.value, trend.unit)}\n{point.id}\n{when(point.started)}{commit}"
