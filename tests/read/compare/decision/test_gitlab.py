"""A decision as GitLab's code quality report, by its documented form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.read.compare.decision.decision import Decision
from harness.read.compare.decision.gitlab import render
from harness.read.compare.paired.allowed import Allowed
from harness.read.compare.why.reason import ReasonFound, ReasonKind
from tests.support.ci_schema import code_quality_issues
from tests.support.decided import decided

Shown = tuple[str, str, int, str]


def shown(found: Decision) -> list[Shown]:
    """Severity, place and description of each issue."""
    return [
        (one["severity"], one["location"]["path"], one["location"]["lines"]["begin"], one["description"])
        for one in code_quality_issues(render(found))
    ]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a scenario, a program and a suite of benchmarks."""
    for name in ("shop.toml", "shop.py", "test_it.py"):
        (tmp_path / name).write_text("line\n" * 20)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_scenario(found: Decision) -> Decision:
    return replace(found, head=replace(found.head, file="shop.toml"))


def test_a_figure_stands_where_the_reason_for_it_does() -> None:
    """And a benchmark at the top of its file."""
    names = ("cpu_ms", "test_it.py::test_x")
    reason = ReasonFound(ReasonKind.FUNCTION, "encode takes more", 1.0, "shop.py", 12)
    slower = decided(dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0))
    (cpu, benchmark, why) = shown(of_scenario(replace(slower, reasons=(reason,))))

    assert cpu[:3] == ("critical", "shop.py", 1)
    assert cpu[3].startswith("slower: cpu_ms 50 ms → 60 ms, +20.0 % (")
    assert benchmark[:3] == ("critical", "test_it.py", 1)
    assert why == ("major", "shop.py", 12, "why it is slower: encode takes more")


def test_without_a_reason_a_figure_stands_at_the_scenario() -> None:
    """What cannot be told, too; without a file there is no place for it."""
    untold = decided({"cpu_ms": 50.0}, {})

    assert shown(of_scenario(untold)) == [
        ("major", "shop.toml", 1, "cannot tell: cpu_ms: not measured in the head")
    ]
    assert shown(of_scenario(replace(untold, interrupted=True)))[0][3].startswith("interrupted: cannot tell:")
    assert shown(untold) == []


def test_what_was_accepted_is_information_and_no_difference_is_no_issue() -> None:
    """By an empty list GitLab sees that earlier issues are solved."""
    same = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0})
    more = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0, "rows": 7.0}, allowed=Allowed(new=["*"]))

    assert shown(of_scenario(same)) == []
    assert shown(of_scenario(more)) == [("info", "shop.toml", 1, "accepted: rows: not measured in the base")]
