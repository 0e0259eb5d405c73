"""GitLab's code quality report of a run, by its documented form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.read.ci import code_quality
from harness.read.ci.issue import Issue
from harness.read.finding import Level
from harness.read.formats import render
from harness.read.report import Report
from tests.read.conftest import Full


def listed(text: str) -> list[dict[str, Any]]:
    """The issues, each with what GitLab asks for: https://docs.gitlab.com/ci/testing/code_quality/."""
    issues: list[dict[str, Any]] = json.loads(text)
    assert not text.startswith("\ufeff")  # GitLab takes no byte order mark
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert re.fullmatch("[0-9a-f]{32}", issue["fingerprint"])
        assert not issue["location"]["path"].startswith(("./", "/"))
        assert issue["location"]["lines"]["begin"] >= 1
        assert "\n" not in issue["description"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    return issues


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
        for one in listed(render(document, "gitlab"))
    ]

    assert shown[0] == ("asyncio-harness/expectation", "critical", "shop.toml", 1)
    assert ("asyncio-harness/blocks", "info", "hosts.py", 41) in shown


def test_without_a_place_an_issue_is_left_out(document: Report) -> None:
    """GitLab has none without."""
    watched = replace(document, run=replace(document.run, scenario_file=""))

    assert {one["location"]["path"] for one in listed(render(watched, "gitlab"))} == {"hosts.py"}


def test_a_run_without_issues_is_an_empty_list() -> None:
    """By which GitLab sees that earlier ones are solved."""
    assert listed(code_quality.document([])) == []


@pytest.mark.parametrize(
    ("level", "severity"), [(Level.ERROR, "critical"), (Level.WARNING, "major"), (Level.NOTE, "info")]
)
def test_levels_are_severities(level: Level, severity: str) -> None:
    """And long messages of several lines become a short line."""
    issue = Issue("load", level, "t", "a\nb" + "x" * 9_000, "a.py", 3, fingerprint="0" * 32)
    (shown,) = listed(code_quality.document([issue]))

    assert shown["severity"] == severity
    assert len(shown["description"]) == 2_000
