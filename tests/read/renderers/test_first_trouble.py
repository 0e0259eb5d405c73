"""A run whose first trouble is no block: every format says at once what it cost, and what to do."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.read import terminal
from harness.read.finding import Cost, CostUnit
from harness.read.formats import render
from harness.read.report import Report
from harness.record import event
from tests.read.conftest import APPLICATION, LOOP_PID, Look, Record

COST, NEXT = (
    "3 pieces of work lost",
    "Keep a reference to each task until it is done, as asyncio.TaskGroup does.",
)


@pytest.fixture
def document(record: Record, look: Look) -> Report:
    """Three tasks were destroyed, and a block of 300 ms is the lesser trouble."""
    made = record()
    made.loop(turns_ms=[1.0, 300.0])
    made.blocked(1.0, 300, [look("shop.py:5 main", count=60)])
    worker = event.Coroutine("work", APPLICATION + "shop.py", 9)
    made.write("target", event.TaskDestroyed(made.at(2), LOOP_PID, worker, 3))
    made.ended(5.0, status=0)
    return made.document()


def test_the_terminal_tells_cost_and_next_step_below_the_verdict(document: Report) -> None:
    """In the second and third line, and not again beside the finding; the block has its table."""
    out = io.StringIO()
    terminal.show(document, Console(file=out, width=None, color_system=None))
    verdict, *lines = [line.split(maxsplit=1) for line in out.getvalue().splitlines() if line.strip()]

    assert verdict[1].startswith("3 tasks of work (shop.py:9) destroyed while pending")
    assert lines[:2] == [["cost", COST], ["next", NEXT]]
    assert sum(line[:1] == ["next"] for line in lines) == 1


def test_markdown_tells_them_below_the_outcome(document: Report) -> None:
    """Before any table."""
    heading, _, _, _, trouble, *_ = render(document, "md").splitlines()

    assert heading.startswith("## 3 tasks of work")
    assert trouble == f"**Cost: {COST}. Next: {NEXT}**"


def test_the_page_tells_them_in_its_heading(document: Report) -> None:
    """Right below the verdict."""
    page = render(document, "html")
    heading = page[: page.index("</header>")]

    assert f"<strong>{COST}.</strong> {NEXT}" in heading


def test_where_the_block_is_the_first_trouble_nothing_changes(record: Record, look: Look) -> None:
    """It has its own table with a hint; the findings stand below."""
    made = record()
    made.loop(turns_ms=[1.0, 300.0])
    made.blocked(1.0, 300, [look("shop.py:5 main", count=60)])
    made.ended(5.0, status=0)
    page, text = render(made.document(), "html"), render(made.document(), "md")

    assert 'class="headline"' not in page
    assert "Cost:" not in text


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (7.0, CostUnit.STOOD_S, "7.00 s stood still"),
        (0.5, CostUnit.BURNT_S, "500 ms of a processor burnt"),
        (1, CostUnit.LOST, "1 piece of work lost"),
        (1200.4, CostUnit.MEGABYTES, "1,200 MB grown"),
        (40, CostUnit.SPANS, "40 spans cut off from the trace"),
    ],
)
def test_a_cost_is_told_in_words(amount: float, unit: CostUnit, words: str) -> None:
    """With the unit that it has."""
    assert Cost(amount, unit).words == words
