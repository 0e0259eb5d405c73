"""The search for the revision that made it slower."""

from __future__ import annotations

import math

import pytest

from harness.read.compare.paired.answer import Answer
from harness.read.compare.search import SearchRange, next_place, search_range


def search(count: int, first_slower: int, untold: frozenset[int] = frozenset()) -> tuple[SearchRange, int]:
    """Search among revisions of which those from *first_slower* on are slower; the range, and the steps."""
    known: dict[int, Answer] = {}
    while (place := next_place(count, known)) is not None:
        answer = Answer.SLOWER if place >= first_slower else Answer.SAME
        known[place] = Answer.UNKNOWN if place in untold else answer
    return search_range(count, known), len(known)


@pytest.mark.parametrize("count", [2, 3, 16, 17])
def test_every_revision_is_found_in_the_fewest_steps(count: int) -> None:
    """Wherever the slow one is."""
    for first_slower in range(1, count):
        found, steps = search(count, first_slower)

        assert (found, found.is_exact) == (SearchRange(first_slower - 1, first_slower), True)
        assert steps <= math.ceil(math.log2(count))


def test_what_cannot_be_told_is_passed_over() -> None:
    """The range is as small as it can be vouched for."""
    assert search(16, 6, frozenset({8}))[0] == SearchRange(5, 6)
    assert search(16, 6, frozenset({5, 6, 7}))[0] == SearchRange(4, 8)
    assert search(16, 6, frozenset(range(1, 15)))[0] == SearchRange(0, 15)


def test_a_faster_revision_is_good() -> None:
    """It did not make anything slower."""
    assert search_range(16, {8: Answer.FASTER, 12: Answer.SLOWER}) == SearchRange(8, 12)
