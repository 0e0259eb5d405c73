"""What an object refers to is listed without a halt of the process, however much that is."""

from __future__ import annotations

import functools
import gc
import queue
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from harness.probe.hooks.state import reference_state

LARGE, FEW = 100_000, 10
# The collector's list of a large collection takes eight bytes for each item.
MUCH_BYTES, LITTLE_BYTES = LARGE * 8, LARGE // 2


class Table(dict[int, object]):
    """A collection whose methods are the program's."""

    def __len__(self) -> int:
        raise RuntimeError("nobody may ask")

    __iter__ = items = values = keys = __getitem__ = __len__  # type: ignore[assignment]


@functools.lru_cache(LARGE)
def remembered(number: int) -> object:
    return [number]


def _cache() -> object:
    for number in range(LARGE):
        remembered(number)
    return remembered


_MADE: dict[str, Callable[[list[Any]], object]] = {
    "list": list,
    "tuple": tuple,
    "set": lambda items: set(map(id, items)),
    "frozenset": lambda items: frozenset(map(id, items)),
    "deque": deque,
    "dict": lambda items: dict(enumerate(items)),
    "OrderedDict": lambda items: OrderedDict(enumerate(items)),
    "defaultdict": lambda items: defaultdict(list, enumerate(items)),
    "Counter": lambda items: Counter(map(id, items)),
    "Table": lambda items: Table(enumerate(items)),
    "cache": lambda items: _cache(),
}


def _peak_bytes(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", _MADE)
def test_a_large_collection_is_not_given_to_the_collector(kind: str) -> None:
    """A list of all its items would be made in one step; the control shows that it would be seen."""
    thing = _MADE[kind]([object() for _ in range(LARGE)])

    assert _peak_bytes(lambda: gc.get_referents(thing)) >= MUCH_BYTES
    assert _peak_bytes(lambda: reference_state.held_by(thing, FEW)) < LITTLE_BYTES
    assert len(reference_state.held_by(thing, FEW)) == (0 if kind == "cache" else FEW)
    remembered.cache_clear()


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize("kind", ["list", "tuple", "deque"])
def test_a_sequence_has_one_order_whatever_its_size(kind: str, size: int) -> None:
    """That of the collector, which begins with the last item of a list."""
    items = [object() for _ in range(size)]
    thing = _MADE[kind](items)

    expected = items if kind == "deque" else items[::-1]

    assert without_class(gc.get_referents(thing))[: FEW - 1] == expected[: FEW - 1]
    assert without_class(reference_state.held_by(thing, FEW))[: FEW - 1] == expected[: FEW - 1]


def without_class(held: list[Any]) -> list[Any]:
    """What a collection holds; some refer to their class first."""
    return [one for one in held if not isinstance(one, type)]


def test_an_object_refers_to_its_attributes() -> None:
    """Also one whose class has a length of its own, in Python."""

    class Sized:
        def __init__(self, part: object) -> None:
            self.part = part

        def __len__(self) -> int:
            raise RuntimeError("nobody may ask")

    part = object()
    held = [
        *reference_state.held_by(Sized(part)),
        *reference_state.held_by(vars(Sized(part))),
        *reference_state.held_by({"part": part}.values()),
    ]

    assert sum(one is part or (type(one) is dict and one.get("part") is part) for one in held) == 3


def test_large_is_what_is_listed_in_part() -> None:
    """A text has a length as well, and refers to nothing."""
    most = reference_state.MOST

    assert reference_state.is_large(range_of := [object()] * (most + 1))
    assert not reference_state.is_large(range_of[:most])
    assert not reference_state.is_large("x" * (most + 1))
    assert reference_state.held_by("text") == []


def test_a_queue_in_c_is_of_unknown_size() -> None:
    """The collector would list all its items."""
    waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
    waiting.put(object())

    assert reference_state.held_by(waiting) == []


def test_no_attribute_is_asked_for_that_the_program_computes() -> None:
    """A mock answers any name, and a property runs the program's code."""

    class Computed:
        plain = 1

        @property
        def asked(self) -> int:
            raise RuntimeError("nobody may ask")

    assert reference_state.attribute(Mock(), "func") is None
    assert reference_state.attribute(Computed(), "asked") is None
    assert reference_state.attribute(Computed(), "plain") == 1
    assert reference_state.attribute(len, "__qualname__") == "len"
    assert reference_state.attribute(lambda: 0, "__qualname__").endswith("<lambda>")
    assert reference_state.attribute(None, "__self__") is None
