"""GitLab's code quality report of a run, by its documented form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.read.ci import code_quality
from harness.read.ci.issue import Issue
from harness.read.finding import Level
from harness.read.formats import render
from harness.read.report import Report
from tests.read.conftest import Full
from tests.support.ci_schema import code_quality_issues


@pytest.fixture
def document(full: Full, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run in a checkout that has the file which blocked, and the scenario."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("hosts.py", "shop.toml"):
        (checkout / name).write_text("line\n" * 60)
    monkeypatch.chdir(checkout)
    document = full().document()
    return replace(document, run=replace(document.run, scenario_file=str(checkout / "shop.toml")))


def test_issues_have_severity_and_place(document: Report) -> None:
    """A missed expectation is critical; what a fault has planted is information."""
    shown = [
        (one["check_name"], one["severity"], one["location"]["path"], one["location"]["lines"]["begin"])
        for one in code_quality_issues(render(document, "gitlab"))
    ]

    assert shown[0] == ("asyncio-harness/expectation", "critical", "shop.toml", 1)
    assert ("asyncio-harness/blocks", "info", "hosts.py", 41) in shown


def test_without_a_place_an_issue_is_left_out(document: Report) -> None:
    """GitLab has none without."""
    watched = replace(document, run=replace(document.run, scenario_file=""))

    assert {one["location"]["path"] for one in code_quality_issues(render(watched, "gitlab"))} == {"hosts.py"}


def test_a_run_without_issues_is_an_empty_list() -> None:
    """By which GitLab sees that earlier ones are solved."""
    assert code_quality_issues(code_quality.document([])) == []


@pytest.mark.parametrize(
    ("level", "severity"), [(Level.ERROR, "critical"), (Level.WARNING, "major"), (Level.NOTE, "info")]
)
def test_levels_are_severities(level: Level, severity: str) -> None:
    """And long messages of several lines become a short line."""
    issue = Issue("load", level, "t", "a\nb" + "x" * 9_000, "a.py", 3, fingerprint="0" * 32)
    (shown,) = code_quality_issues(code_quality.document([issue]))

    assert shown["severity"] == severity
    assert len(shown["description"]) == 2_000
