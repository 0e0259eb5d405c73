"""The measures of two programs: which of them decide, and from which change on they matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..paired.measure import Measure, MeasureGate
from .gated import gated

# What is known of every program. Its own figures come after them.
CPU, WALL, MEMORY = "cpu_ms", "wall_ms", "peak_mb"
CPU_PER_ITEM, WALL_PER_ITEM = "cpu_us_per_item", "wall_us_per_item"
# The amount of work itself.
ITEMS = "items"
# Processes take memory by the page, and not every page each time.
MEMORY_FLOOR_MB = 1.0
_UNITS = {"ms": "ms", "us": "us", "s": "s", "mb": "MB"}


def measures(names: Iterable[str], asked: Mapping[str, float | None], *, limit: float) -> tuple[Measure, ...]:
    """One measure for each figure.

    CPU time decides: it is steadier than the wall clock, which raises an alarm of its own, because CPU time
    does not see a program that waits. Memory raises one, too.

    Args:
        names: What the programs' runs told.
        asked: What decides instead, each with its own limit or None.
        limit: The smallest slowdown that matters.
    """
    known = list(dict.fromkeys(names))
    per_item = CPU_PER_ITEM in known
    deciding = CPU_PER_ITEM if per_item else CPU
    alarming = (WALL_PER_ITEM if per_item else WALL, MEMORY)
    gates = {deciding: MeasureGate.DECIDES, **dict.fromkeys(alarming, MeasureGate.ALARMS)}
    told = [name for name in known if name != ITEMS or name in asked]
    return gated(told, asked, gates, limit=limit, floors={MEMORY: MEMORY_FLOOR_MB}, unit_of=unit_of)


def unit_of(name: str) -> str:
    """The unit that a name says: ``cpu_us_per_item`` is in microseconds."""
    parts = (
        name.removesuffix("_per_item").removesuffix("_per_message").removesuffix("_per_request").split("_")
    )
    return _UNITS.get(parts[-1], "count") if not name.endswith("_per_s") else "count"
