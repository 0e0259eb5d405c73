"""SARIF 2.1.0: what blocks, and what else was found, with its line."""

from __future__ import annotations

from pathlib import Path

from ..ci import sarif
from ..ci.run_issues import run_issues, scenario_path
from ..ci.source_tree import SourceTree
from ..formats import ReportFormat
from ..judge.outcome import OutcomeName
from ..report import Report, exit_status

_JUDGED = (OutcomeName.PASSED, OutcomeName.FAILED, OutcomeName.OBSERVED)


def render(document: Report) -> str:
    """One run; what is about no line is shown at the top of the scenario's file."""
    repository, run = SourceTree.around(Path.cwd()), document.run
    made = sarif.Invocation(
        id=run.id,
        category=f"harness/{run.scenario}",
        succeeded=run.outcome in _JUDGED,
        status=exit_status(document),
        properties={"outcome": run.outcome, "verdict": run.verdict, "commit": run.commit},
    )
    issues = run_issues(document, repository)
    return sarif.document(issues, made, default_file=scenario_path(document, repository))


FORMAT = ReportFormat("sarif", extension="sarif", render=render)
