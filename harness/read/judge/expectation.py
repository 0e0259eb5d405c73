"""The expectations of a run: each limit of the manifest against the figure it names.

A figure is named by its dotted path in `report.json`; `record/metric.py` lists them, including sums over the
blocks and figures of spans by name. An expectation about a figure that was not measured is not met, and makes
the run invalid.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass

from ...record.metric import find
from ...record.run import Expectation
from ..evidence import Evidence
from ..figures.overhead import cpu_s, profile
from ..units import quantity

_COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """One expectation and its value, null when it was not measured."""

    name: str
    limit: str  # "< 50"
    value: float | None
    passed: bool
    unit: str = "count"  # as in `record/metric.py`
    fail_on: bool = False  # the limit is a condition that fails the run if it holds
    unmeasured: str = ""  # why the value is null
    line: int | None = None  # of the scenario's file

    @property
    def condition(self) -> str:
        """As its author wrote it, with the unit: ``load.latency_ms.p99 < 500 ms``."""
        condition = f"{self.name} {self._limit}"
        return f"fail on {condition}" if self.fail_on else condition

    @property
    def bound(self) -> str:
        """The limit with its unit: ``< 500 ms``, ``fail on > 0``."""
        return f"fail on {self._limit}" if self.fail_on else self._limit

    @property
    def found(self) -> str:
        """The value with its unit, exact enough to differ from a limit that it differs from."""
        if self.value is None:
            return f"not measured: {self.unmeasured}" if self.unmeasured else "not measured"
        return quantity(self.value, self.unit, beside=float(self.limit.partition(" ")[2]))

    @property
    def sentence(self) -> str:
        """``blocks.count is 0, expected >= 1``, or that it was not measured."""
        if self.value is None:
            reason = f": {self.unmeasured}" if self.unmeasured else ""
            return f"{self.name} was not measured{reason}"
        if self.fail_on:
            return f'{self.name} is {self.found} (--fail-on "{self.name} {self._limit}")'
        return f"{self.name} is {self.found}, expected {self._limit}"

    @property
    def _limit(self) -> str:
        comparison, _, limit = self.limit.partition(" ")
        return f"{comparison} {quantity(float(limit), self.unit)}"


def judge(
    expectations: Iterable[Expectation],
    figures: Mapping[str, float],
    why: Callable[[str], str] = lambda key: "",
) -> tuple[ExpectationResult, ...]:
    """Each expectation against its figure, in the order of the manifest; *why* explains a missing figure."""
    return tuple(_judged(one, figures.get(one.key), why) for one in expectations)


def figures(evidence: Evidence) -> dict[str, float]:
    """Every measured number that an expectation can name, by its dotted path in `report.json`."""
    parts = {
        "run": {"duration_s": evidence.duration_s, "cpu_s": cpu_s(evidence.history)},
        "load": evidence.load,
        "loop": evidence.loop,
        "blocks": asdict(evidence.block_totals),
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
        **_no_spans(evidence),
    }


def _no_spans(evidence: Evidence) -> dict[str, float]:
    """In a program that has spans: a count of 0 for expected names of which none was made."""
    if evidence.spans.recorded is None:
        return {}
    made = {f"spans.by_name.{name.name}.count" for name in evidence.spans.by_name}
    asked = (one.key for one in evidence.history.run.expectations)
    return {
        key: 0
        for key in asked
        if key.startswith("spans.by_name.") and key.endswith(".count") and key not in made
    }


def _judged(expectation: Expectation, value: float | None, why: Callable[[str], str]) -> ExpectationResult:
    compare = _COMPARISONS.get(expectation.comparison)
    figure = find(expectation.key)
    if compare is None:
        # A comparison unknown to this version is not judged, so it must not pass.
        value, unmeasured = None, f"this version does not know the comparison {expectation.comparison}"
    else:
        unmeasured = why(expectation.key) if value is None else ""
    holds = value is not None and compare is not None and bool(compare(value, expectation.limit))
    return ExpectationResult(
        name=expectation.key,
        limit=f"{expectation.comparison} {expectation.limit:.15g}",
        value=value,
        passed=value is not None and holds is not expectation.fail_on,
        unit=figure.unit if figure is not None else "count",
        fail_on=expectation.fail_on,
        unmeasured=unmeasured,
        line=expectation.line,
    )


def _numbers(parts: Mapping[str, object], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in parts.items():
        if is_dataclass(value):
            value = {part.name: getattr(value, part.name) for part in fields(value)}
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value
