"""A decision as GitLab's code quality report: what is slower, what cannot be told, and why it is slower.

Every issue has a place there. A figure has none: it stands where the strongest reason does, else at the top
of the file of the scenario or program. Where there is none of these, only benchmarks and reasons are left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...ci import code_quality
from ...ci.issue import Issue
from ...ci.source_tree import SourceTree
from .decision import Decision
from .issues import decision_issues


def render(decided: Decision) -> str:
    """A list of issues, which is empty if there is nothing to tell."""
    repository = SourceTree.around(Path.cwd())
    issues = [_described(issue) for issue in decision_issues(decided, repository)]
    first = next((issue.file for issue in issues if issue.rule == "why" and issue.file), "")
    return code_quality.document(issues, default_file=first or repository.path(decided.head.file))


def _described(issue: Issue) -> Issue:
    """With what its title says, which GitLab does not show."""
    said = issue.title.partition(":")[0]
    return issue if issue.message.startswith(said) else replace(issue, message=f"{said}: {issue.message}")
