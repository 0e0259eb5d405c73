"""The issues of a run: why it failed, and its findings with their lines."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.read import rules
from harness.read.ci.issue import Issue
from harness.read.ci.rule import RULES
from harness.read.ci.run_issues import run_issues
from harness.read.ci.source_tree import SourceTree
from harness.read.family import members
from harness.read.finding import Level
from harness.read.formats import render
from harness.read.report import Report
from harness.record import event
from tests.read.conftest import APPLICATION, Full, Look, Record, Whole

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def shop(tmp_path: Path) -> SourceTree:
    """What is checked out: the application of the record, which ran in a container."""
    for name in ("hosts.py", "cart.py", "scenarios/shop.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("line\n" * 60)
    return SourceTree(tmp_path)


def issues(document: Report, repository: SourceTree, level: Level = Level.WARNING) -> list[Issue]:
    return [issue for issue in run_issues(document, repository) if issue.level == level]


def test_a_missed_expectation_is_an_error_at_its_line_of_the_scenario(full: Full, shop: SourceTree) -> None:
    """With the verdict; those that are met are no issue."""
    document = full().document()
    scenario = replace(document.run, scenario_file=f"{shop.root}/scenarios/shop.toml")
    placed = replace(
        document, run=scenario, expectations=tuple(replace(e, line=7) for e in document.expectations)
    )

    (error,) = issues(placed, shop, Level.ERROR)
    assert (error.rule, error.file, error.line) == ("expectation", "scenarios/shop.toml", 7)
    assert error.title == "Not met: blocks.max_held_ms < 100 ms"
    assert error.message == f"blocks.max_held_ms is 301 ms, expected < 100 ms. {document.run.verdict}"
    (unplaced,) = issues(document, shop, Level.ERROR)
    assert (unplaced.file, unplaced.line) == ("", None)


def test_a_block_is_a_warning_at_its_line_with_what_helps(
    record: Record, look: Look, shop: SourceTree
) -> None:
    """How often, how long, what it waited for, who waited, the hint and its page."""
    made = record()
    made.loop()
    for n in range(2):
        made.blocked(n, 300, [look("cart.py:41 Cart.total", "lib/socket.py:978 getaddrinfo")])
    made.ended()

    (block,) = issues(made.document(), shop)
    assert (block.rule, block.file, block.line) == ("blocks", "cart.py", 41)
    assert block.title == "Loop blocked by socket.getaddrinfo <- Cart.total"
    assert block.message == (
        "socket.getaddrinfo <- Cart.total held the loop 2 times for up to 300 ms, 600 ms in total "
        '(waiting for DNS) in span "checkout". Use await loop.getaddrinfo(...), which resolves in a thread. '
        "See docs/blocking.md#dns."
    )


def test_a_planted_fault_is_a_note(full: Full, shop: SourceTree) -> None:
    """Nothing of the code at that line is wrong."""
    found = run_issues(full().document(), shop)

    assert [issue.level for issue in found if issue.rule == "blocks"] == [Level.NOTE]
    (block,) = [issue for issue in found if issue.rule == "blocks"]
    assert (block.file, block.line) == ("hosts.py", 41)


def test_a_busy_machine_is_no_issue_of_the_line_that_ran(
    record: Record, look: Look, shop: SourceTree
) -> None:
    """In CI it is common, and no commit can mend it."""
    made = record()
    made.loop()
    machine: Whole = {"whole_cpu_ns": 5_000_000, "whole_ns": 310_000_000, "whole_queued_ns": 290_000_000}
    made.blocked(1, 300, [look("cart.py:41 Cart.total")], **machine)
    made.ended()
    document = made.document()

    assert [block.cause for block in document.blocks] == ["descheduled"]
    assert [issue for issue in run_issues(document, shop) if issue.rule == "blocks"] == []


def test_a_finding_has_the_title_of_its_rule(record: Record, shop: SourceTree) -> None:
    """And not the name, which is the rule's id at the host."""
    made = record()
    made.write("runner", event.QueueLeft(made.at(1), "the server is gone"))
    made.ended()

    (left,) = [issue for issue in run_issues(made.document(), shop) if issue.rule == "ledger"]
    assert left.title == RULES["ledger"].title


def test_a_line_outside_the_repository_is_told_in_the_message(
    record: Record, look: Look, tmp_path: Path
) -> None:
    """No host can show it beside the code."""
    made = record()
    made.loop()
    made.blocked(1, 300, [look("cart.py:41 Cart.total")])
    made.ended()

    (block,) = issues(made.document(), SourceTree(tmp_path))
    assert (block.file, block.line) == ("", None)
    assert block.message.startswith("Cart.total (at cart.py:41) held the loop 1 time")


def test_a_run_that_cannot_be_judged_is_an_error(full: Full, shop: SourceTree) -> None:
    """Its first issue is the verdict."""
    document = full(end=False).document()

    first = run_issues(document, shop)[0]
    assert (first.rule, first.level, first.title) == ("run", Level.ERROR, "Aborted")
    assert first.message == document.run.verdict


def test_what_was_not_measured_is_an_error(record: Record, shop: SourceTree) -> None:
    """And says why."""
    made = record(expectations=[("ledger.lost", "==", 0)])
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    invalid, unmeasured = issues(made.document(), shop, Level.ERROR)
    assert (invalid.title, unmeasured.title) == ("Invalid measurement", "Not measured: ledger.lost == 0")
    assert unmeasured.message.startswith("ledger.lost was not measured: ")


def test_a_quiet_run_has_no_issue(record: Record, shop: SourceTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """And prints no annotation."""
    monkeypatch.chdir(shop.root)
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()
    document = made.document()

    assert run_issues(document, shop) == ()
    assert render(document, "github") == ""


def test_annotations_are_relative_to_the_working_directory(
    record: Record, look: Look, shop: SourceTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which a host of CI has set to the checkout."""
    monkeypatch.chdir(shop.root)
    made = record()
    made.loop()
    made.blocked(1, 300, [look("cart.py:41 Cart.total")])
    made.ended()

    assert render(made.document(), "github").startswith(
        "::warning file=cart.py,line=41,title=Loop blocked by Cart.total::Cart.total held the loop 1 time "
    )
    assert APPLICATION not in render(made.document(), "github")


def test_every_rule_is_described_with_a_page_that_exists() -> None:
    """Those of findings, and those of the run as a whole."""
    names = {rule.__name__.rpartition(".")[2] for rule in members(rules)}

    assert set(RULES) == names | {
        *("run", "expectation", "slower", "comparison", "accepted", "why", "faster")
    }
    for rule in RULES.values():
        page, _, section = rule.page.partition("#")
        headings = [
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in (DOCS.parent / page).read_text().splitlines()
            if line.startswith("#")
        ]
        assert not section or section in headings, rule.page
