"""Issues as a code quality report of GitLab, which its merge requests show as a widget and in the diff.

Its form: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format. Every issue has a place
there, so those without one are left out, unless there is a file to show them in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..finding import Level
from ..units import printable
from .issue import Issue
from .markdown import clipped

SEVERITIES = {Level.ERROR: "critical", Level.WARNING: "major", Level.NOTE: "info"}
LETTERS = 2_000


def document(issues: Iterable[Issue], *, default_file: str = "") -> str:
    """The report, in the order of the issues."""
    placed = [issue for issue in issues if issue.file or default_file]
    return json.dumps([_issue(issue, default_file) for issue in placed], indent=1) + "\n"


def _issue(issue: Issue, default_file: str) -> dict[str, object]:
    line = (issue.line or 1) if issue.file else 1
    return {
        "description": clipped(printable(issue.message), LETTERS),
        "check_name": f"asyncio-harness/{issue.rule}",
        "fingerprint": issue.fingerprint,
        "severity": SEVERITIES[issue.level],
        "location": {"path": issue.file or default_file, "lines": {"begin": line}},
    }
