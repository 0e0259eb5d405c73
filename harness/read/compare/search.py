"""Which revision to try next, and what is known by then: the search for the one that made it slower.

Revisions stand in order of time; the first is good and the last is slower. One that cannot be told, or cannot
be run, is passed over: the next to it is tried, and the answer may be a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .paired.answer import Answer


@dataclass(frozen=True, slots=True)
class SearchRange:
    """By place: the last revision that is known to be good, and the first that is known to be slower."""

    good: int
    slower: int

    @property
    def is_exact(self) -> bool:
        """Whether no revision stands between them."""
        return self.slower == self.good + 1


def search_range(count: int, known: Mapping[int, Answer]) -> SearchRange:
    """What is known of *count* revisions.

    Args:
        count: At least two.
        known: The answers of comparisons with the first, by place.
    """
    slower = min((place for place, answer in known.items() if answer == Answer.SLOWER), default=count - 1)
    good = [place for place, answer in known.items() if answer in (Answer.SAME, Answer.FASTER)]
    return SearchRange(max((place for place in good if place < slower), default=0), slower)


def next_place(count: int, known: Mapping[int, Answer]) -> int | None:
    """The revision to try next; `None` if none is left that would narrow the range."""
    between = search_range(count, known)
    middle = (between.good + between.slower) / 2
    open_places = [place for place in range(between.good + 1, between.slower) if place not in known]
    return min(open_places, key=lambda place: (abs(place - middle), place), default=None)
