"""Takes the state of suspended work apart, to see later whether it has got on.

Work gets on when a string or bytes in its variables changes, an iterator advances, a container gets smaller,
or items of a longer one are replaced. Numbers do not count: work that does nothing may count how often.
Nothing of the program is called, and nothing of it is kept: objects are found by the garbage collector's
means, and what remains are hashes and ids.
"""

from __future__ import annotations

import gc
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice, zip_longest
from operator import length_hint, ne
from types import GeneratorType
from typing import Any

from ...record.value import Row

# Of each object at most this many parts are looked at.
PARTS = 64
# Hashing a longer text for the first time would take long: its ends stand for it.
LONG, END = 1024, 64
FEW = 8  # of a larger container, only its size is compared
# A variable, its attributes, and the dictionary that may hold these.
DEPTH = 3

_CONTAINERS = (list, dict, set, deque, bytearray)
_ORDERED = (list, deque)
# In an ordered container as long as before, so many of the first items are others: a heap, a window that
# slides. A single one may be a count.
REPLACED = 2
# Iterators of these types tell how much they have left.
_MADE: tuple[object, ...] = (
    *(iter([]), iter(()), iter({}), iter({}.values()), iter({}.items()), iter(set()), iter(""), iter(b"")),
    *(iter(deque()), reversed([]), reversed({}), iter(range(0)), iter(range(1 << 70))),
)
_COUNTED = tuple(type(made) for made in _MADE)
# These hold others.
_NESTED = (enumerate, zip, map, filter, islice, chain, zip_longest, GeneratorType)
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class statement makes such types


class WorkState(Row):
    """The state of some work at one moment."""

    marks: int  # a hash of what may not change while nothing gets on
    sizes: dict[int, int]  # of its containers, by their id
    items: dict[int, list[int]]  # the ids of the first items of the longer ordered ones

    def is_beyond(self, before: WorkState) -> bool:
        """Whether the work has got on since *before*."""
        if self.marks != before.marks:
            return True
        if any(size < before.sizes.get(key, 0) for key, size in self.sizes.items()):
            return True
        return any(
            self.sizes[key] == before.sizes.get(key)
            and sum(map(ne, items, before.items.get(key, ()))) >= REPLACED
            for key, items in self.items.items()
        )


def state_of_parts(parts: Iterable[object]) -> WorkState:
    """The state of work that has these *parts*: its coroutines, or the arguments of a callback."""
    marks: list[object] = []
    state = WorkState(0, {}, {})
    for part in parts:
        _inspect(part, marks, state, 0)
    return WorkState(hash(tuple(marks)), state.sizes, state.items)


def of_coroutines(links: Iterable[object]) -> WorkState:
    """The state of suspended coroutines: their variables, and what their loops iterate over."""
    return state_of_parts(value for link in links for value in gc.get_referents(link)[:PARTS])


def _inspect(value: Any, marks: list[object], state: WorkState, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bytes:
        marks.append(value if len(value) < LONG else (len(value), value[:END], value[-END:]))
    elif kind in _CONTAINERS:
        state.sizes[id(value)] = len(value)
        # The attributes of an object, or an item of work.
        if depth < DEPTH and ((kind is dict and depth) or len(value) <= FEW) and kind is not bytearray:
            _inspect_all(value, marks, state, depth)
        elif kind in _ORDERED:
            # The collector may run a finalizer meanwhile, which changes a deque.
            with suppress(RuntimeError):
                state.items[id(value)] = list(map(id, list(islice(value, PARTS))))
    elif kind in _COUNTED:
        marks.append(length_hint(value))
    elif depth < DEPTH and (kind is tuple or kind in _NESTED or (not depth and _is_the_programs(value))):
        if kind is GeneratorType and value.gi_frame is not None:
            marks.append(value.gi_frame.f_lasti)
        _inspect_all(value, marks, state, depth)


def _inspect_all(value: object, marks: list[object], state: WorkState, depth: int) -> None:
    for held in gc.get_referents(value)[:PARTS]:
        _inspect(held, marks, state, depth + 1)


def _is_the_programs(value: object) -> bool:
    """Whether it is an object of a class in Python, and no part of asyncio that changes by itself."""
    is_instance = type(value).__flags__ & _HEAP_TYPE and not isinstance(value, type)
    return bool(is_instance) and not isinstance(value, Future | AbstractEventLoop)
