"""A decision as SARIF."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.read.compare.decision.decision import Decision
from harness.read.compare.decision.sarif import render
from harness.read.compare.why.reason import ReasonFound, ReasonKind
from tests.support.ci_schema import SARIF
from tests.support.decided import decided


def run_of(found: Decision) -> dict[str, Any]:
    """The only run of a valid log."""
    log = json.loads(render(found))
    SARIF.validate(log)
    (run,) = log["runs"]
    return dict(run)


def test_a_reason_is_a_result_at_its_line_and_a_figure_a_notification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark is a result at the top of its file."""
    (tmp_path / "shop.py").write_text("line\n" * 20)
    (tmp_path / "test_it.py").write_text("")
    monkeypatch.chdir(tmp_path)
    names = ("cpu_ms", "test_it.py::test_x")
    reason = ReasonFound(ReasonKind.FUNCTION, "encode takes more", 1.0, "shop.py", 12)
    run = run_of(replace(decided(dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0)), reasons=(reason,)))
    places = [one["locations"][0]["physicalLocation"] for one in run["results"]]
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]

    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("slower", "error"),
        ("why", "warning"),
    ]
    assert [(one["artifactLocation"]["uri"], one["region"]["startLine"]) for one in places] == [
        ("test_it.py", 1),
        ("shop.py", 12),
    ]
    assert notification["message"]["text"].startswith("cpu_ms 50 ms → 60 ms, +20.0 % (")
    assert (run["invocations"][0]["executionSuccessful"], run["invocations"][0]["exitCode"]) == (True, 1)


def test_what_cannot_be_told_was_not_successful() -> None:
    """A reader must not take an empty list of results for the answer."""
    run = run_of(decided({"cpu_ms": 50.0}, {}))

    assert (run["invocations"][0]["executionSuccessful"], run["invocations"][0]["exitCode"]) == (False, 3)
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"] == "cpu_ms: not measured in the head"


def test_no_difference_is_a_valid_log_without_results() -> None:
    """GitHub then closes the alerts of earlier comparisons."""
    run = run_of(decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0}))

    assert run["results"] == run["invocations"][0]["toolExecutionNotifications"] == []
    assert run["automationDetails"]["id"] == "harness/comparison/x"
