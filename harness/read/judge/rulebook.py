"""The rules of `rules/`, each found by its file, and the order of what they find.

A rule is a module with ``findings(evidence: Evidence) -> Iterator[Finding]`` and an ``ORDER``: of findings
that weigh the same, the report lists those of rules with a lower order first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import rules
from ..evidence import Evidence
from ..family import members, names_in
from ..finding import Finding, Level

_LEVELS = list(Level)
# These need more than a process knows of itself: the runner, the load, other processes, or all spans.
_OF_A_RUN = frozenset({"faults", "leases", "ledger", "load", "processes", "record", "target"})


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """What all rules find, worst first; of what a process knows about itself, those that need no run."""
    found: list[Finding] = []
    for rule in sorted(members(rules), key=lambda rule: rule.ORDER):
        if not evidence.history.is_own or rule.__name__.rpartition(".")[2] not in _OF_A_RUN:
            found += rule.findings(evidence)
        evidence.pause()
    return in_order(found)


def names() -> frozenset[str]:
    """The names of the rules; imports none of them."""
    return frozenset(names_in(rules))


def in_order(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """What spoils the measurement first, then what cost most, each cause before its symptoms."""
    causes = _causes(found)

    def rank(finding: Finding) -> tuple[bool, float, bool, int]:
        weight = _weight(finding, causes)
        return not finding.invalid, -weight, finding.rule in causes, _LEVELS.index(finding.level)

    return tuple(sorted(found, key=rank))


def _causes(found: Sequence[Finding]) -> dict[str, float]:
    """For each rule whose findings others explain, the weight of the gravest of these."""
    causes: dict[str, float] = {}
    # A cause may be a symptom itself, and then weighs no more than its own cause.
    for _ in range(len(found) + 1):
        before, causes = causes, {}
        for finding in found:
            for rule in finding.explains if finding.weight else ():
                causes[rule] = max(causes.get(rule, 0.0), _weight(finding, before))
        if causes == before:
            break
    return causes


def _weight(finding: Finding, causes: Mapping[str, float]) -> float:
    return min(finding.weight, causes.get(finding.rule, finding.weight))


def gravest(found: Sequence[Finding]) -> Finding | None:
    """The trouble of the service that cost most, of findings in their order; `None` without any."""
    return next((finding for finding in found if finding.weight), None)


def first_trouble(found: Sequence[Finding]) -> Finding | None:
    """The gravest finding if it is no block, which a report tells in sections of its own; else `None`."""
    worst = gravest(found)
    return worst if worst is not None and worst.rule != "blocks" else None
