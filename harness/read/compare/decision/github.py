"""A decision as annotations of GitHub Actions, after its sentence for the log."""

from __future__ import annotations

from pathlib import Path

from ...ci.source_tree import SourceTree
from ...ci.workflow_command import commands
from .decision import Decision
from .issues import decision_issues


def render(decided: Decision) -> str:
    """The sentence, and a line for each annotation."""
    # A line of the log must not be a command.
    log = decided.sentence.replace("\n", " ").replace("::", ": :")
    issues = decision_issues(decided, SourceTree.around(Path.cwd()))
    return "".join(f"{line}\n" for line in (log, *commands(issues)))
