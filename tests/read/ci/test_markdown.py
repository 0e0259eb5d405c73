"""Markdown for a comment: names that stay text, and the limit of its size."""

from __future__ import annotations

import pytest

from harness.read.ci.markdown import Section, clipped, code, fitted, text

FOLDED = Section("5 places", ("| a | b |", "|---|---|", *(f"| {n} | {'x' * 90} |" for n in range(5))))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<b>*bold*</b>", r"\<b\>\*bold\*\</b\>"),
        ("@octocat fixed #12 of !7", r"\@&#8203;octocat fixed \#&#8203;12 of \!&#8203;7"),
        ("a@ b# c", r"a\@ b\# c"),
        ("&lt;", r"\&lt;"),
        ("one\ntwo\x1b[0m", r"one\\ntwo\\x1b\[0m"),
    ],
)
def test_names_stay_text(raw: str, shown: str) -> None:
    """No markup, no entity, no second line; nobody is mentioned, and no issue or merge request is linked."""
    assert text(raw) == shown


def test_code_stays_in_its_cell() -> None:
    """It cannot end the code, the cell or the line."""
    assert code("a`|b\n") == r"`a'¦b\n`"


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    """Neither before its limit nor beyond."""
    assert (clipped("abc", 3), clipped("abcd", 3)) == ("abc", "ab…")
    assert len(code("x" * 10_000)) < 400 > len(text("x" * 10_000))


def test_what_fits_is_whole() -> None:
    """Titles are folded, with an empty line before the Markdown, without which hosts show it as text."""
    shown = fitted(["## Passed"], [FOLDED])

    assert shown.startswith("## Passed\n\n<details>\n<summary>5 places</summary>\n\n| a | b |\n")
    assert shown.endswith(" |\n\n</details>\n")
    assert "cut" not in shown


def test_a_section_is_cut_at_a_line_and_says_so() -> None:
    """What does not fit at all is named at the end."""
    shown = fitted(["## Failed"], [FOLDED, Section("Figures", ("- Loop: " + "x" * 500,))], max_bytes=1_400)

    assert len(shown.encode()) <= 1_400
    assert "\n… cut here: 2 more lines. report.html has all.\n\n</details>\n" in shown
    assert shown.endswith("\nLeft out, to stay small: Figures.\n")


def test_a_head_that_is_too_long_is_cut() -> None:
    """Also where letters take four bytes each."""
    shown = fitted(["## Failed", *("🐌" * 100 for _ in range(1_000))], [FOLDED])

    assert 50_000 < len(shown.encode()) <= 60_000
    assert "… cut here: " in shown
