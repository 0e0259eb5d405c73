"""Measures of figures by their names: which of them decide, and from which change on they matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..paired.measure import Measure, MeasureGate


def gated(
    names: Iterable[str],
    asked: Mapping[str, float | None],
    gates: Mapping[str, MeasureGate],
    *,
    limit: float,
    floors: Mapping[str, float],
    unit_of: Callable[[str], str],
) -> tuple[Measure, ...]:
    """One measure for each figure.

    Args:
        names: Of the figures.
        asked: What decides instead of the default, each with its own limit or None.
        gates: The default; any other figure is only shown.
        limit: The smallest slowdown that matters.
        floors: As in `Measure`, by name.
        unit_of: The unit that a name says.
    """
    if asked:
        gates = dict.fromkeys(asked, MeasureGate.DECIDES)
    return tuple(
        Measure(
            name,
            unit_of(name),
            limit=asked.get(name) or limit,
            gate=gates.get(name, MeasureGate.SHOWN),
            floor=floors.get(name, 0.0),
            more_is_better=name.endswith("_per_s"),
        )
        for name in names
    )
