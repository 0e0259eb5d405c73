"""The table of calls on the loop in Markdown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.read.calls.call import Call
from harness.read.formats import render
from harness.read.renderers.md import CALLS
from harness.read.report import Report
from tests.read.conftest import Full

CALL = Call("open", "shop:load", "/srv/shop.py", 3, "shop.py:3", "", (), 2, 1.5, 1.0, False, "", False)


@pytest.fixture
def document(full: Full) -> Report:
    return full().document()


@pytest.mark.parametrize(
    ("count", "left_out"), [(CALLS, ""), (CALLS + 1, "1 more call"), (CALLS + 5, "5 more calls")]
)
def test_calls_beyond_the_limit_are_counted(document: Report, count: int, left_out: str) -> None:
    """The longest table has a last line; one that is complete has none."""
    text = render(replace(document, calls=(CALL,) * count), "md")

    assert text.count("| `open` |") == min(count, CALLS)
    assert (f"… and {left_out}." in text) == bool(left_out)
    assert ("more call" in text) == bool(left_out)


@pytest.mark.parametrize(
    ("allowed", "known", "standing"),
    [(False, False, "new"), (True, False, "allowed"), (False, True, "known")],
)
def test_a_call_is_new_unless_it_is_allowed_or_known(
    document: Report, allowed: bool, known: bool, standing: str
) -> None:
    """Calls of other places, which have no function, are neither."""
    one, other = replace(CALL, allowed=allowed, known=known), replace(CALL, function="")
    text = render(replace(document, calls=(one, other)), "md")

    assert [one.new, other.new] == [standing == "new", False]
    assert [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith("| `open` |")] == [
        standing,
        "",
    ]
