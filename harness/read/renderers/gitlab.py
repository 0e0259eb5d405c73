"""GitLab's code quality report: what blocks, and what else was found, with its line."""

from __future__ import annotations

from pathlib import Path

from ..ci import code_quality
from ..ci.run_issues import run_issues, scenario_path
from ..ci.source_tree import SourceTree
from ..formats import ReportFormat
from ..report import Report


def render(document: Report) -> str:
    """A list of issues; what is about no line is shown at the top of the scenario's file."""
    repository = SourceTree.around(Path.cwd())
    return code_quality.document(
        run_issues(document, repository), default_file=scenario_path(document, repository)
    )


FORMAT = ReportFormat("gitlab", extension="codequality.json", render=render)
