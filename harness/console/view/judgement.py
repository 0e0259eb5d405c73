"""What the rules of a report find in this process so far, and how a client reads it.

The rules are loaded when somebody asks for the first time.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...record.clock import monotonic_ns
from ..gil_yield import GilYielder
from .process import LOOK_EVERY_NS

if TYPE_CHECKING:
    from ...read.finding import Finding
    from ...read.judge.live import LiveJudgement
    from .process import ProcessView

COLUMNS = ("level", "rule", "message", "where", "file", "line", "cost", "cost_unit", "next")

Row = tuple[object, ...]

# The packages of `read/` that the rules are made of, each before those that need it.
_PARTS = ("blocks", "processes", "figures", "gauges", "pools", "spans", "spinning", "rules")
_READ = f"{(__package__ or '').removesuffix('.console.view')}.read"

_loading = threading.Lock()


def judge(process: ProcessView) -> LiveJudgement:
    """Everything that was found so far, of this moment, or of less than a second ago."""
    judged_ns, judged = process.judged
    if judged is not None and monotonic_ns() - judged_ns < LOOK_EVERY_NS:
        return judged
    _load()
    from ...read.judge import live

    process.look()
    judged = live.judge(
        process.run,
        process.recent.events(),
        process.pages(),
        now_ns=monotonic_ns(),
        is_live=True,
        pause=GilYielder().maybe_yield,
    )
    process.judged = monotonic_ns(), judged
    return judged


def about(process: ProcessView, *rules: str) -> list[Finding]:
    """What these rules have found, worst first."""
    return [finding for finding in judge(process).findings if finding.rule in rules]


def row(finding: Finding, process: ProcessView) -> Row:
    """The cells of `COLUMNS`."""
    where = f"{process.ownership.short(finding.file)}:{finding.line}" if finding.file else None
    cost = finding.cost
    return (
        str(finding.level),
        finding.rule,
        finding.message,
        where,
        finding.file,
        finding.line,
        cost.amount if cost is not None else None,
        str(cost.unit) if cost is not None else None,
        finding.next or None,
    )


def data(findings: Iterable[Finding], process: ProcessView) -> list[dict[str, object]]:
    """Findings as JSON."""
    return [dict(zip(COLUMNS, row(finding, process), strict=True)) for finding in findings]


def lines(findings: Iterable[Finding], process: ProcessView) -> Iterator[str]:
    """Findings as text."""
    for finding in findings:
        yield from paragraph(row(finding, process))


def paragraph(cells: Row) -> Iterator[str]:
    """A finding for users: its level, rule, place and cost; its sentence; and what to do."""
    from ...read.finding import Cost, CostUnit

    level, rule, message, where, _, _, cost, unit, step = cells
    costs = Cost(float(str(cost)), CostUnit(str(unit))).words if cost is not None else None
    yield ", ".join(str(part) for part in (f"{level} ({rule})", where, costs) if part)
    yield f"  {message}"
    if step:
        yield f"  next: {step}"


def _load() -> None:
    """Import the rules. All at once, they would keep the loops waiting for the GIL."""
    gil = GilYielder()
    with _loading:
        for part in _PARTS:
            package = importlib.import_module(f"{_READ}.{part}")
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{package.__name__}.{module.name}")
                gil.maybe_yield()
