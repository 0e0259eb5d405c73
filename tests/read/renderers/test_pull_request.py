"""The Markdown of a report as a comment on a pull request."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.read.finding import Finding, Level
from harness.read.formats import render
from harness.read.judge.expectation import ExpectationResult
from harness.read.report import Report
from tests.read.conftest import Full, Look, Record

# What GitHub takes; a workflow may add to it.
COMMENT = 65_536


@pytest.fixture
def document(full: Full) -> Report:
    return full().document()


def test_the_verdict_stands_first_and_the_checks_in_the_only_open_table(document: Report) -> None:
    """Missed expectations before the others, then health checks that are out of bounds."""
    head, _, folded = render(document, "md").partition("<details>")

    assert head.startswith(r"## Failed: blocks.max\_held\_ms is 301 ms, expected \< 100 ms. Loop ")
    assert "\n**failed** · shop · 20.0 s · Python 3.12.1 · `0123456789abc`\n" in head
    rows = [line for line in head.splitlines() if line.startswith("| ")]
    assert rows[:4] == [
        "| | expected | value |",
        "| ✗ | `blocks.max_held_ms < 100 ms` | 301 ms |",
        "| ✓ | `ledger.lost == 0` | 0 |",
        "| ✓ | `load.latency_ms.p99 < 500 ms` | 353 ms |",
    ]
    assert "| ⚠ | No loop turn longer than the block limit: at most 100 ms | 301 ms |" in rows
    assert folded.count("<summary>") == folded.count("</details>") == folded.count("<details>") + 1


def test_everything_else_is_folded_by_its_subject(document: Report) -> None:
    """Most important first."""
    titles = re.findall("<summary>(.*)</summary>", render(document, "md"))

    assert titles[0] == "What blocked the loop: 1 place, 5 times"
    assert titles[-2:] == ["Figures", "5 health checks passed"]


def test_what_was_not_measured_has_its_own_sign(record: Record) -> None:
    """And the reason instead of a value."""
    made = record(expectations=[("ledger.lost", "==", 0)])
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()

    (row,) = [line for line in render(made.document(), "md").splitlines() if line.startswith("| ?")]
    assert row.startswith("| ? | `ledger.lost == 0` | not measured: ")


def test_a_run_without_checks_has_no_table(document: Report) -> None:
    """Nothing is made up."""
    head = render(replace(document, expectations=(), audits=()), "md").partition("<details>")[0]

    assert "|" not in head


def test_it_fits_into_a_comment_whatever_the_run_has(record: Record, look: Look) -> None:
    """Hundreds of places, findings and expectations, with long names that all need escapes."""
    hostile = "🐌_*`|<@" * 1_000
    made = record()
    made.loop()
    for n in range(100):
        made.blocked(n / 2, 150, [look(f"a.py:{n + 1} f{n}{hostile}")])
    made.ended()
    missed = ExpectationResult(hostile, "< 1", 2.0, passed=False)
    trouble = Finding("tasks", Level.WARNING, hostile, next=hostile)
    document = replace(made.document(), expectations=(missed,) * 500, findings=(trouble,) * 500)

    shown = render(document, "md")
    assert len(shown.encode()) < COMMENT
    assert shown.startswith("## ")
    assert "| … | 450 more expectations | 450 of them not met |" in shown
    assert shown.count("<details>") == shown.count("</details>")
