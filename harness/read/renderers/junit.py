"""JUnit XML: a case for the run itself, for each expectation, and for each health check.

A health check that is out of bounds is skipped and not failed, since it does not change the exit status.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..ci import junit
from ..ci.junit import Case, CaseResult, Suite
from ..finding import Level
from ..formats import ReportFormat
from ..judge.expectation import ExpectationResult
from ..judge.health_check import HealthCheck
from ..judge.outcome import OutcomeName
from ..report import Report
from ..units import measured

_JUDGED = (OutcomeName.PASSED, OutcomeName.FAILED, OutcomeName.OBSERVED)
FINDINGS = 30


def render(document: Report) -> str:
    """One suite."""
    run = document.run
    properties = {
        "run": run.id,
        "outcome": run.outcome,
        "commit": run.commit,
        "python": run.python,
        "seed": str(run.seed),
        "command": " ".join(run.target.command),
    }
    suite = Suite(
        name=run.scenario,
        cases=tuple(_cases(document)),
        took_s=run.duration_s,
        started=run.started,
        properties=tuple(properties.items()),
        output="\n".join(_output(document)),
    )
    return junit.document([suite])


def _cases(document: Report) -> Iterator[Case]:
    run = document.run
    if run.outcome in _JUDGED:
        yield Case("run", "the run can be judged", CaseResult.PASSED)
    else:
        yield Case(
            "run", "the run can be judged", CaseResult.ERROR, f"{run.outcome}: {run.reason}", run.verdict
        )
    for judged in document.expectations:
        yield _expected(judged, run.verdict)
    for check in document.audits:
        yield _healthy(check)


def _expected(judged: ExpectationResult, verdict: str) -> Case:
    if judged.passed:
        return Case("expectation", judged.condition, CaseResult.PASSED)
    result = CaseResult.FAILURE if judged.value is not None else CaseResult.ERROR
    return Case("expectation", judged.condition, result, judged.sentence, f"{judged.sentence}.\n{verdict}")


def _healthy(check: HealthCheck) -> Case:
    name = f"{check.title}: at most {measured(check.limit, check.unit)}"
    if check.passed:
        return Case("health", name, CaseResult.PASSED)
    gain = f" ({check.gain})" if check.gain else ""
    message = f"{measured(check.value, check.unit)}, at most {measured(check.limit, check.unit)}{gain}"
    return Case("health", name, CaseResult.SKIPPED, f"{message}; a health check does not fail the run")


def _output(document: Report) -> Iterator[str]:
    """The verdict, and the findings with their places."""
    yield document.run.verdict
    for found in [one for one in document.findings if one.level != Level.NOTE][:FINDINGS]:
        where = f"{found.file}:{found.line}: " if found.file else ""
        yield f"{found.level}: {where}{found.message}{f'. {found.next}' if found.next else ''}"


FORMAT = ReportFormat("junit", extension="junit.xml", render=render)
