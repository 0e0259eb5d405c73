"""A decision as annotations of GitHub Actions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.read.compare.decision.github import render
from harness.read.compare.paired.allowed import Allowed
from harness.read.compare.why.reason import ReasonFound, ReasonKind
from tests.support.decided import decided

# As GitHub documents them: a command, its properties, and data without line ends.
COMMAND = r"::(error|warning|notice) (?:(?:file|line|title)=[^,:\n\r]+,?)+::[^\n\r]+"


def test_what_is_slower_is_an_error_and_its_reason_a_warning_at_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Characters that have a meaning are escaped; what is only shown makes none."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/a,b.py").write_text("line\n" * 12)
    monkeypatch.chdir(tmp_path)
    found = decided({"cpu_ms": 50.0, "wall_ms": 60.0}, {"cpu_ms": 60.0, "wall_ms": 90.0}, shown="wall_ms")
    reason = ReasonFound(ReasonKind.FUNCTION, "encode takes 3 %\nmore", 1.0, "shop/a,b.py", 12, changed=True)
    text = render(replace(found, reasons=(reason,)))
    log, error, warning = text.splitlines()

    assert log == found.sentence
    assert error.startswith("::error title=slower%3A cpu_ms::cpu_ms 50 ms → 60 ms, +20.0 %25 (")
    assert warning == (
        "::warning file=shop/a%2Cb.py,line=12,title=why it is slower%2C changed here::"
        "encode takes 3 %25%0Amore"
    )
    assert all(re.fullmatch(COMMAND, line) for line in (error, warning))


def test_at_most_ten_of_a_kind_are_made_and_the_rest_is_counted() -> None:
    """The last one says how many there are."""
    names = [f"figure_{number:02}" for number in range(25)]
    text = render(decided(dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0)))
    errors = [line for line in text.splitlines() if line.startswith("::error")]

    assert len(errors) == 10
    assert text.splitlines()[-1].startswith("::notice title=asyncio-harness::15 errors not shown: ")


def test_a_benchmark_is_shown_at_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason whose file is not of the repository keeps its place in the text."""
    (tmp_path / "test_it.py").write_text("")
    monkeypatch.chdir(tmp_path)
    found = decided({"test_it.py::test_x": 50.0}, {"test_it.py::test_x": 60.0})
    reason = ReasonFound(ReasonKind.FUNCTION, "encode takes more", 1.0, "/elsewhere/a.py", 12)
    _, error, warning = render(replace(found, reasons=(reason,))).splitlines()

    assert error.startswith("::error file=test_it.py,title=slower%3A test_it.py%3A%3Atest_x::")
    assert warning == "::warning title=why it is slower::encode takes more (at /elsewhere/a.py:12)"


def test_what_cannot_be_told_is_a_warning() -> None:
    """Each figure that decides, with its reason; where there is none, the comparison."""
    missing = render(decided({"cpu_ms": 50.0}, {"wall_ms": 60.0}))
    nothing = render(decided({}, {}))
    broken_off = render(replace(decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0}), interrupted=True))

    assert missing.splitlines()[1:] == [
        "::warning title=cannot tell%3A cpu_ms::cpu_ms: not measured in the head",
        "::warning title=cannot tell%3A wall_ms::wall_ms: not measured in the base",
    ]
    assert nothing.splitlines()[1:] == [
        "::warning title=cannot tell::cannot tell: nothing that decides was measured"
    ]
    assert broken_off.splitlines()[1].startswith("::warning title=interrupted::")


def test_what_was_accepted_is_a_notice() -> None:
    """It does not decide, and is not passed over."""
    found = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0, "rows": 7.0}, allowed=Allowed(new=["rows"]))

    assert render(found).splitlines()[1:] == [
        "::notice title=accepted%3A rows::rows: not measured in the base"
    ]


def test_no_difference_makes_no_annotation() -> None:
    """Only the line for the log."""
    found = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0})

    assert render(found) == f"{found.sentence}\n"
