"""Workflow commands of GitHub Actions: annotations of the lines that a run found, and why it failed."""

from __future__ import annotations

from pathlib import Path

from ..ci.run_issues import run_issues
from ..ci.source_tree import SourceTree
from ..ci.workflow_command import commands
from ..formats import ReportFormat
from ..report import Report


def render(document: Report) -> str:
    """A line for each annotation; nothing for a run without findings."""
    issues = run_issues(document, SourceTree.around(Path.cwd()))
    return "".join(f"{line}\n" for line in commands(issues))


FORMAT = ReportFormat("github", extension="github.txt", render=render)
