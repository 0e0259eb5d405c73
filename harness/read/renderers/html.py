"""`report.html`: one file that needs nothing else, no network and no script to be read.

Everything that can be reckoned is reckoned here or in `chart.py`; the template lays it out. All text goes
through Jinja's escaping, because names come from the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ...record.event import Frame
from ..advice import Advice, advice
from ..block import Block
from ..blocker import Blocker, is_at
from ..chart import chart
from ..document import Document
from ..excerpt import Line, excerpt
from ..span import Trace
from ..unit import duration, percent, plural

PLACES = 12
OCCURRENCES = 4
VICTIMS = 12
SPAN_NAMES = 20
FINDINGS = 30
SHADES = 20
# Of a deep stack the inner frames tell what happened, the outer ones how it was reached.
OUTER, INNER = 6, 24


@dataclass(frozen=True, slots=True)
class Place:
    """One blocker with what the report shows of it."""

    blocker: Blocker
    advice: Advice
    source: tuple[Line, ...]
    shown: tuple[tuple[int, Block], ...]  # its longest blocks, by their index in the document


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a shown stack; without a frame it stands for *skipped* ones."""

    frame: Frame | None
    own: bool = False
    blamed: bool = False
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a waterfall, in percent of its trace."""

    left: float
    width: float


def render(document: Document) -> str:
    """The report as one HTML document."""
    places = tuple(_place(document, blocker) for blocker in document.blockers[:PLACES])
    listed = {index for place in places for index, _ in place.shown}
    return _template().render(
        doc=document,
        run=document.run,
        chart=chart(document),
        places=places,
        anchors=[_anchor(index, block, places, listed) for index, block in enumerate(document.blocks)],
        held_ms=sum(block.held_ms for block in document.blocks),
        version=version("asyncio-harness"),
        limits={"victims": VICTIMS, "span_names": SPAN_NAMES, "findings": FINDINGS},
    )


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, percent=percent, tail=_tail)
    environment.globals.update(plural=plural, stack=_stack, bar=_bar, held_in=_held_in)
    return environment.get_template("report.html.j2")


def _place(document: Document, blocker: Blocker) -> Place:
    members = [(index, block) for index, block in enumerate(document.blocks) if is_at(block, blocker)]
    longest = sorted(members, key=lambda item: -item[1].held_ms)[:OCCURRENCES]
    return Place(
        blocker, advice(blocker.cause, blocker.waits_for), excerpt(blocker.file, blocker.line), tuple(longest)
    )


def _anchor(index: int, block: Block, places: tuple[Place, ...], listed: set[int]) -> str:
    """Where a click on a block's mark leads: to itself, else to its place, else to the list."""
    if index in listed:
        return f"block-{index}"
    at = next((number for number, place in enumerate(places, 1) if is_at(block, place.blocker)), None)
    return f"place-{at}" if at else "blocking"


def _stack(block: Block) -> list[Row]:
    """The block's stack, outermost first, with the middle of a very deep one left out."""
    blamed = (block.file, block.line, block.function)
    own = frozenset(block.own)
    rows = [Row(frame, i in own, tuple(frame) == blamed) for i, frame in enumerate(block.stack)]
    if len(rows) <= OUTER + INNER:
        return rows
    return [*rows[:OUTER], Row(None, skipped=len(rows) - OUTER - INNER), *rows[-INNER:]]


def _bar(trace: Trace, at_s: float, took_ms: float) -> Bar:
    """Where a stretch of time lies in a trace, cut off at its ends."""
    whole_ms = trace.took_ms or 0.001
    start = (at_s - trace.at_s) * 1000 / whole_ms * 100
    left, right = max(0.0, start), min(100.0, start + took_ms / whole_ms * 100)
    return Bar(round(left, 3), round(max(right - left, 0.0), 3))


def _held_in(trace: Trace, blocks: tuple[Block, ...]) -> list[tuple[Bar, Block]]:
    """The longest blocks that lie in the time of a trace."""
    bars = ((_bar(trace, block.at_s, block.held_ms), block) for block in blocks)
    inside = sorted(((bar, block) for bar, block in bars if bar.width > 0), key=lambda item: -item[0].width)
    return inside[:SHADES]


def _tail(file: str) -> str:
    """The last parts of a path: enough to know a frame by."""
    return "/".join(PurePath(file).parts[-2:])
