"""Troubles that come together: the first sentence names the cause, and what follows from it stands below."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from harness.read.finding import Level
from harness.read.report import Report
from tests.combined.troubles import TROUBLES, Trouble
from tests.support.judged import judged
from tests.support.watched import watched

# They wait for most of their time, and do not touch each other.
BUSY = ("a collector and a growing heap", "a spin and a pool")


def reports(names: Iterable[str], folder: Path) -> dict[str, Report]:
    """The reports of these programs, which run at the same time."""

    def one(name: str) -> Report:
        (own := folder / name.replace(" ", "-")).mkdir()
        return judged(watched(dedent(TROUBLES[name].program), own))

    with ThreadPoolExecutor() as lanes:
        return dict(zip(names, lanes.map(one, names), strict=True))


def check(name: str, trouble: Trouble, report: Report) -> None:
    """The cause is the first finding with a cost and in the first sentence; the rest is below."""
    grave = [found for found in report.findings if found.level is not Level.NOTE]
    said = [(found.rule, found.message) for found in grave]
    assert grave, name
    assert grave[0].rule == trouble.rule, (name, said)
    assert trouble.names in report.run.verdict, (name, report.run.verdict, said)
    others = {found.rule for found in grave[1:]} - {trouble.rule}
    # A busy machine may make a turn late now and then.
    assert others <= {*trouble.below, "blocks"}, (name, said)


@pytest.mark.long
def test_the_first_sentence_names_the_cause(tmp_path: Path) -> None:
    """Of a lock, a dead task, a child, a pool or a wake-up, whatever piles up behind it."""
    names = [name for name in TROUBLES if name not in BUSY]
    for name, report in reports(names, tmp_path).items():
        check(name, TROUBLES[name], report)


@pytest.mark.long
@pytest.mark.parametrize("name", BUSY)
def test_a_busy_loop_comes_before_what_it_starves(name: str, tmp_path: Path) -> None:
    """A processor is used all the time."""
    check(name, TROUBLES[name], reports([name], tmp_path)[name])
