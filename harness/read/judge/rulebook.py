"""The rules of `rules/`, each found by its file.

A rule is a module with ``findings(evidence: Evidence) -> Iterator[Finding]`` and an ``ORDER``: the report
lists the findings of rules with a lower order first.
"""

from __future__ import annotations

from .. import rules
from ..evidence import Evidence
from ..family import members
from ..finding import Finding


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """What all rules find in the run."""
    ordered = sorted(members(rules), key=lambda rule: rule.ORDER)
    return tuple(finding for rule in ordered for finding in rule.findings(evidence))
