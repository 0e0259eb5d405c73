"""The expectations of a run: each limit of the manifest against the figure it names.

A figure is named by its dotted path in `report.json`; `record/metric.py` lists them, including sums over the
blocks and figures of spans by name. An expectation about a figure that this run does not have fails.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

from ...record.run import Expectation
from ..evidence import Evidence
from ..figures.overhead import profile

_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """One expectation and its value, null when the run has no such figure."""

    name: str
    limit: str  # "< 50"
    value: float | None
    passed: bool


def judge(expectations: Iterable[Expectation], figures: Mapping[str, float]) -> tuple[ExpectationResult, ...]:
    """Each expectation against its figure, in the order of the manifest."""
    return tuple(_judged(expectation, figures.get(expectation.key)) for expectation in expectations)


def figures(evidence: Evidence) -> dict[str, float]:
    """Every number that an expectation can name, by its dotted path in `report.json`."""
    blocks = evidence.blocks
    parts = {
        "run": {"duration_s": evidence.duration_s},
        "load": evidence.load,
        "loop": evidence.loop,
        "spans": evidence.spans,
        "ledger": evidence.ledger,
        "profile": profile(evidence.history),
        "overhead": evidence.overhead,
        "calls": {"new": evidence.new_calls},
    }
    return {
        **dict(_numbers(parts, "")),
        **{
            f"spans.by_name.{name.name}.{key}": value
            for name in evidence.spans.by_name
            for key, value in (("count", name.count), ("p50_ms", name.p50_ms), ("p99_ms", name.p99_ms))
        },
        "blocks.count": len(blocks),
        "blocks.max_held_ms": max((block.held_ms for block in blocks), default=0.0),
        "blocks.total_ms": round(evidence.held_ms, 3),
        "blocks.victims": sum(block.victims_total for block in blocks),
    }


def _judged(expectation: Expectation, value: float | None) -> ExpectationResult:
    # A comparison unknown to this version must not pass.
    compare = _COMPARISONS.get(expectation.comparison)
    passed = value is not None and compare is not None and bool(compare(value, expectation.limit))
    return ExpectationResult(
        expectation.key, f"{expectation.comparison} {expectation.limit:g}", value, passed
    )


def _numbers(parts: Mapping[str, object], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in parts.items():
        if is_dataclass(value):
            value = {part.name: getattr(value, part.name) for part in fields(value)}
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value
