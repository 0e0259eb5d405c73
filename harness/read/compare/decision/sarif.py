"""A decision as SARIF 2.1.0: what is slower at the line that explains it, and a benchmark at its file.

A figure has no line: those that are slower or cannot be told are notifications of the run.
"""

from __future__ import annotations

from pathlib import Path

from ...ci import sarif
from ...ci.source_tree import SourceTree
from .decision import Decision
from .issues import decision_issues, is_told


def render(decided: Decision) -> str:
    """One run of the tool."""
    made = sarif.Invocation(
        id=decided.id,
        category="harness/comparison",
        succeeded=is_told(decided),
        status=decided.exit_status,
        properties={
            "verdict": decided.verdict,
            "sentence": decided.sentence,
            "base": decided.base.commit or decided.base.what,
            "head": decided.head.commit or decided.head.what,
        },
    )
    return sarif.document(decision_issues(decided, SourceTree.around(Path.cwd())), made)
