"""`report.html`: one self-contained file that needs no network.

All computation is done here, in `chart.py` or in `samples/flame_graph.py`; the templates in `page/`
lay out one section each, and the scripts beside them handle mouse and keyboard. All text is escaped by Jinja
or passed as JSON, because names come from the target.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path, PurePath

from jinja2 import Template
from markupsafe import Markup

from ...record.event import Frame
from ..blocks.advice import Advice, advice
from ..blocks.block import Block
from ..blocks.blocker import Blocker, is_at
from ..blocks.excerpt import SourceLine, excerpt
from ..chart import chart
from ..compare.comparison import Comparison
from ..compare.headline import headline
from ..formats import ReportFormat
from ..judge.rulebook import first_trouble
from ..page_environment import page_environment
from ..report import Report, plain
from ..samples.flame_graph import Called, FlameGraph
from ..spans.span import Waterfall
from ..units import duration, measured, percent

# Small enough to mail. Large parts are left out, the last one first, until the page fits.
MAX_BYTES = 900_000
LARGE = ("icicle", "diff_tree", "speedscope")
PLACES = 12
OCCURRENCES = 4
SHADES = 20
# The frames shown of a deep stack: the outer ones show how the inner ones were reached.
OUTER, INNER = 6, 24
# Fewer frames of libraries in a row are shown as they are.
LEAST_FOLDED = 2
# Bounds on the stacks of the timeline: lines in total, and letters per name.
LINES, LETTERS = 1_000, 80
LIMITS = {
    "letters": LETTERS,
    "processes": 40,
    "victims": 12,
    "span_names": 20,
    "findings": 30,
    "calls": 40,
    "places": 12,
    "hangs": 20,
    "hung_tasks": 200,
    "killed": 3,
    "hung_threads": 30,
    "hung_frames": 40,
    "hung_listed": 3,
    "hung_names": 10_000,
}


@dataclass(frozen=True, slots=True)
class Place:
    """One blocker with what the page shows about it."""

    blocker: Blocker
    advice: Advice
    source: tuple[SourceLine, ...]
    shown: tuple[tuple[int, Block], ...]  # its longest blocks, with their index in the report


@dataclass(frozen=True, slots=True)
class BlockerRow:
    """One line of a stack; without a frame it stands for those *skipped*, or those *folded* into it."""

    frame: Frame | None
    own: bool = False
    blamed: bool = False
    skipped: int = 0
    folded: tuple[BlockerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval of a waterfall, in percent of its trace."""

    left: float
    width: float


def render(document: Report) -> str:
    """The report as one HTML document."""
    kept: tuple[str, ...] = LARGE
    while len((page := _page(document, kept)).encode(errors="replace")) > MAX_BYTES and kept:
        kept = kept[:-1]
    return page


def _page(document: Report, kept: tuple[str, ...]) -> str:
    places = tuple(_place(document, blocker) for blocker in document.blockers[:PLACES])
    drawn = chart(document)
    return _template().render(
        doc=document,
        run=document.run,
        timed=bool(document.blocks or document.load or document.loop.turns or document.loop.untimed),
        chart=plain(replace(drawn, stalls=())),
        stalls=_stalls(drawn.stalls, places),
        places=places,
        icicle=plain(document.icicle) if "icicle" in kept else None,
        diff_tree=_drawn(document.difference) if "diff_tree" in kept else None,
        speedscope=document.icicle is not None and "speedscope" in kept,
        sampled=_sampled(document.icicle),
        held_ms=sum(block.held_ms for block in document.blocks),
        trouble=first_trouble(document.findings),
        headline=headline(document.difference) if document.difference is not None else "",
        version=version("asyncio-harness"),
        limits=LIMITS,
    )


@cache
def _template() -> Template:
    environment = page_environment(__package__)
    environment.filters.update(duration=duration, percent=percent, tail=_tail, zone=_zone)
    environment.globals.update(
        stack=_stack,
        bar=_bar,
        held_in=_held_in,
        packed=_packed,
        measured=measured,
        code=_code,
        link=_link,
    )
    return environment.get_template("page/report.html.j2")


@cache
def _packed(path: str) -> str:
    """A large script for the page to unpack: gzip in base64, 41 % of its size."""
    data = (Path(__file__).parent / path).read_bytes()
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(text)


def _link(section: str, text: str) -> Markup:
    return Markup('<a href="#{}">{}</a>').format(section, text)


def _drawn(between: Comparison | None) -> object:
    """The data of the icicle of two runs."""
    samples = between.contrast if between is not None else None
    return plain(replace(samples, shifts=())) if samples is not None else None


def _place(document: Report, blocker: Blocker) -> Place:
    members = [(index, block) for index, block in enumerate(document.blocks) if is_at(block, blocker)]
    longest = sorted(members, key=lambda item: -item[1].held_ms)[:OCCURRENCES]
    return Place(
        blocker, advice(blocker.cause, blocker.waits_for), excerpt(blocker.file, blocker.line), tuple(longest)
    )


def _stalls(shown: Iterable[tuple[int, Block]], places: tuple[Place, ...]) -> dict[str, object]:
    """The blocks of the timeline; those not shown elsewhere have a stack, while there is room."""
    listed = {index for place in places for index, _ in place.shown}
    lines: dict[tuple[str, str], int] = {}

    def call(row: BlockerRow) -> tuple[int, str]:
        if row.frame is None:
            return -row.skipped, ""
        line = row.frame.function[:LETTERS], f"{_tail(row.frame.file)[-LETTERS:]}:{row.frame.line}"
        return lines.setdefault(line, len(lines)), "blamed" if row.blamed else "own" if row.own else ""

    def stall(index: int, block: Block) -> dict[str, object]:
        place = next((n for n, place in enumerate(places, 1) if is_at(block, place.blocker)), None)
        target, stack = f"block-{index}", None
        if index not in listed and len(lines) < LINES:
            stack = [call(row) for row in _stack(block)]
        elif index not in listed:
            target = f"place-{place}" if place else "blocking"
        return {
            "id": target,
            "at_s": block.at_s,
            "held_ms": block.held_ms,
            "what": block.function[:LETTERS],
            "task": block.task[:LETTERS],
            "span": block.span[:LETTERS],
            "waited": block.victims_total,
            "place": place,
            "stack": stack,
        }

    return {"stalls": [stall(index, block) for index, block in shown], "lines": list(lines)}


def _stack(block: Block) -> list[BlockerRow]:
    """The block's stack, outermost first, without the middle of a very deep one."""
    blamed = (block.file, block.line, block.function)
    own = frozenset(block.own)
    rows = [BlockerRow(frame, i in own, tuple(frame) == blamed) for i, frame in enumerate(block.stack)]
    rows = list(_folded(rows))
    if len(rows) <= OUTER + INNER:
        return rows
    return [*rows[:OUTER], BlockerRow(None, skipped=len(rows) - OUTER - INNER), *rows[-INNER:]]


def _folded(rows: list[BlockerRow]) -> Iterator[BlockerRow]:
    """The rows with those of libraries folded, but for what the program called last."""
    last = max((n for n, row in enumerate(rows) if row.own or row.blamed), default=-1)
    kept = [row.own or row.blamed or n >= last for n, row in enumerate(rows)]
    for shown, run in groupby(zip(kept, rows, strict=True), key=lambda pair: pair[0]):
        found = tuple(row for _, row in run)
        if shown or len(found) < LEAST_FOLDED:
            yield from found
        else:
            yield BlockerRow(None, skipped=len(found), folded=found)


def _sampled(icicle: FlameGraph | None) -> dict[str, list[tuple[float, Called, list[str]]]]:
    """By trace: the time sampled in each line, and the program's own functions that called it."""
    found: dict[str, list[tuple[float, Called, list[str]]]] = defaultdict(list)
    if icicle is None:
        return found
    for traced in icicle.traced:
        called, call = [], traced.call
        while call:
            called.append(icicle.lines[icicle.called[call - 1]])
            call = icicle.callers[call - 1]
        above = [line.function for line in reversed(called[1:]) if line.own]
        found[traced.trace_id].append((traced.took_ms, called[0], above))
    return found


def _bar(trace: Waterfall, at_s: float, took_ms: float) -> Bar:
    """The position of an interval in a trace, clipped to it."""
    whole_ms = trace.took_ms or 0.001
    start = (at_s - trace.at_s) * 1000 / whole_ms * 100
    left, right = max(0.0, start), min(100.0, start + took_ms / whole_ms * 100)
    return Bar(round(left, 3), round(max(right - left, 0.0), 3))


def _held_in(trace: Waterfall, blocks: tuple[Block, ...]) -> list[tuple[Bar, Block]]:
    """The longest blocks within the time of a trace."""
    bars = ((_bar(trace, block.at_s, block.held_ms), block) for block in blocks)
    inside = sorted(((bar, block) for bar, block in bars if bar.width > 0), key=lambda item: -item[0].width)
    return inside[:SHADES]


def _zone(started: str) -> str:
    """The offset of an ISO time: ``+01:00``, ``UTC``; "" if it has none."""
    found = re.search(r"([+-]\d\d:\d\d)$", started)
    return "" if found is None else "UTC" if found[1] in ("+00:00", "-00:00") else f"UTC{found[1]}"


def _tail(file: str) -> str:
    """The last parts of a path: enough to recognize a frame."""
    return "/".join(PurePath(file).parts[-2:])


FORMAT = ReportFormat("html", extension="html", render=render)
