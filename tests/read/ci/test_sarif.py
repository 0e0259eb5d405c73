"""SARIF of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.read.ci import sarif
from harness.read.ci.issue import Issue
from harness.read.ci.source_tree import SourceTree
from harness.read.finding import Level
from harness.read.formats import render
from harness.read.report import Report
from tests.read.conftest import Full, Look, Record
from tests.support.ci_schema import SARIF

MADE = sarif.Invocation("r", "harness/shop", succeeded=True, status=0, properties={})


def run_of(text: str) -> dict[str, Any]:
    """The only run of a valid log."""
    log = json.loads(text)
    SARIF.validate(log)
    (run,) = log["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(result["locations"]) == 1  # GitHub refuses a file with a result that has none
    return dict(run)


def place(result: dict[str, Any]) -> tuple[str, int]:
    physical = result["locations"][0]["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


@pytest.fixture
def blocked(record: Record, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A run that blocked at a line of the repository, missed an expectation, and had late load."""
    checkout = tmp_path / "checkout"
    (checkout / "scenarios").mkdir(parents=True)
    (checkout / "my cart.py").write_text("line\n" * 60)
    (checkout / "scenarios/shop.toml").write_text("line\n" * 60)
    monkeypatch.chdir(checkout)
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop()
    made.blocked(1, 300, [look("my cart.py:41 Cart.total")])
    made.ended()
    document = made.document()
    return replace(
        document,
        run=replace(document.run, scenario_file=str(checkout / "scenarios/shop.toml")),
        expectations=tuple(replace(one, line=9) for one in document.expectations),
    )


def test_a_block_is_a_result_at_its_line(blocked: Report) -> None:
    """With level, rule, help and fingerprint; a missed expectation is at its line of the scenario."""
    run = run_of(render(blocked, "sarif"))
    missed, block = run["results"]

    assert (block["ruleId"], block["level"], *place(block)) == ("blocks", "warning", "my%20cart.py", 41)
    assert block["message"]["text"].startswith("Cart.total held the loop 1 time for up to 300 ms")
    assert len(block["partialFingerprints"]["asyncioHarness/v1"]) == 32
    rule = run["tool"]["driver"]["rules"][block["ruleIndex"]]
    assert rule["help"]["text"].endswith("See docs/blocking.md.")
    assert rule["name"] == "ALineBlocksTheEventLoop"
    assert (missed["ruleId"], missed["level"], *place(missed)) == (
        "expectation",
        "error",
        "scenarios/shop.toml",
        9,
    )
    assert run["invocations"] == [
        {"executionSuccessful": True, "exitCode": 1, "toolExecutionNotifications": []}
    ]


def test_what_has_no_line_stands_at_the_top_of_the_scenario(blocked: Report) -> None:
    """Or, without a scenario in the repository, among the notifications of the run."""
    unplaced = replace(blocked, expectations=tuple(replace(one, line=None) for one in blocked.expectations))

    assert place(run_of(render(unplaced, "sarif"))["results"][0]) == ("scenarios/shop.toml", 1)
    watched = replace(unplaced, run=replace(unplaced.run, scenario_file=""))
    run = run_of(render(watched, "sarif"))
    assert [result["ruleId"] for result in run["results"]] == ["blocks"]
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["level"] == "error"
    assert notification["message"]["text"].startswith("blocks.count is 1, expected == 0")


def test_a_run_that_cannot_be_judged_was_not_successful(full: Full) -> None:
    """A reader must not take its few results for all."""
    run = run_of(render(full(end=False).document(), "sarif"))

    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["invocations"][0]["exitCode"] == 3


def test_a_quiet_run_is_a_valid_log_without_results(record: Record) -> None:
    """GitHub then closes the alerts of earlier runs."""
    made = record()
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    run = run_of(render(made.document(), "sarif"))
    assert run["results"] == run["tool"]["driver"]["rules"] == []
    assert run["automationDetails"]["id"].startswith("harness/shop/")


def test_text_of_the_program_is_neither_placeholder_nor_link() -> None:
    """And may be of any length."""
    issue = Issue("blocks", Level.WARNING, "t", "{0} [a](b) " + "x" * 9_000, "a b#?.py", 3, fingerprint="f")
    (result,) = run_of(sarif.document([issue], MADE))["results"]

    assert result["message"]["text"].startswith(r"{{0}} \[a\](b) x")
    assert len(result["message"]["text"]) == 4_000
    assert place(result) == ("a%20b%23%3F.py", 3)


def test_the_worst_are_kept_and_the_others_are_counted() -> None:
    """GitHub shows five thousand."""
    many = [
        Issue("blocks", level, "t", "m", "a.py", 1)
        for level in (Level.NOTE, Level.ERROR)
        for _ in range(3_000)
    ]
    run = run_of(sarif.document(many, MADE))

    assert [result["level"] for result in run["results"]] == ["error"] * 3_000 + ["note"] * 2_000
    assert run["properties"]["resultsLeftOut"] == 1_000


def test_a_file_that_was_not_utf8_is_a_valid_uri(tmp_path: Path) -> None:
    """Its lone surrogates are its bytes."""
    (result,) = run_of(sarif.document([Issue("blocks", Level.NOTE, "t", "m", "a\udcff.py", 1)], MADE))[
        "results"
    ]

    assert place(result)[0] == "a%FF.py"
    assert SourceTree(tmp_path).path("a\udcff.py") == ""


def test_the_schema_refuses_what_is_wrong(blocked: Report) -> None:
    """A negative control."""
    log = json.loads(render(blocked, "sarif"))
    changes: tuple[dict[str, object], ...] = (
        {"level": "fatal"},
        {"message": {}},
        {"ruleIndex": "0"},
        {"unknown": 1},
    )
    for change in changes:
        wrong = json.loads(json.dumps(log))
        wrong["runs"][0]["results"][0].update(change)
        assert not SARIF.is_valid(wrong)
