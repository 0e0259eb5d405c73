"""Takes the state of suspended work apart, to see later whether it has got on.

Work gets on when a string or bytes in its variables changes, an iterator advances, a container gets smaller,
or items of a longer one are replaced. Numbers are kept apart: work that does nothing may count how often,
and only a series of them shows that (`number_series.py`). What lies deeper, or is shared with other code, is
kept as details: it tells something only if it changes between two sights that are a few turns apart.
Nothing of the program is called, and nothing of it is kept: objects are found by the garbage collector's
means, and what remains are hashes, ids and numbers.
"""

from __future__ import annotations

from array import array
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, zip_longest
from math import isfinite
from operator import length_hint, ne
from types import CellType, CodeType, FunctionType, GeneratorType, MethodType
from typing import Any

from ...record.value import Row
from ..hooks.state import reference_state
from ..tasks import coroutine

# Of each object at most this many parts are looked at; and this many objects as details.
PARTS, ALL = 64, 100
# Hashing a longer text for the first time would take long: its ends stand for it.
LONG, END = 1024, 64
FEW = 8  # of a larger container, only its size and its first items are compared
# A variable, its attributes, and the dictionary that may hold these; as a detail, also an item and its own.
DEPTH, DEEP = 3, 5
# A larger integer is a text of its digits.
MOST_BITS = 256

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
# A module's variables of these types may be work.
_VALUES = (int, float, complex, str, bytes, tuple, array, *_CONTAINERS)
# These hold others.
_NESTED = (enumerate, zip, map, filter, islice, chain, zip_longest, GeneratorType)


class WorkState(Row):
    """The state of some work at one moment."""

    marks: int  # a hash of what may not change while nothing gets on
    sizes: dict[int, int]  # of its containers, by their id
    items: dict[int, list[int]]  # the ids of the first items of the longer ordered ones
    details: int  # a hash of what lies deeper
    numbers: dict[int, float]  # and lengths, by the way that leads there

    def is_beyond(self, before: WorkState) -> bool:
        """Whether the work has got on since *before*, as far as marks and containers tell."""
        if self.marks != before.marks:
            return True
        if any(size < before.sizes.get(key, 0) for key, size in self.sizes.items()):
            return True
        return any(
            self.sizes[key] == before.sizes.get(key)
            and sum(map(ne, items, before.items.get(key, ()))) >= REPLACED
            for key, items in self.items.items()
        )

    def changed(self, before: WorkState) -> Iterator[int]:
        """The ways to the numbers that have changed since *before*."""
        return (way for way, number in self.numbers.items() if number != before.numbers.get(way, number))


def state_of_parts(parts: Iterable[object], functions: Iterable[Any] = ()) -> WorkState:
    """The state of work that has these *parts*, such as the arguments of a callback, and runs *functions*."""
    inspection = _Inspection()
    for number, part in enumerate(parts):
        inspection.look(part, hash(number), 0)
    for function in functions:
        if issubclass(type(function), MethodType):
            function = function.__func__
        if issubclass(type(function), FunctionType):
            inspection.look_into(function.__closure__ or (), hash("closure"), -1)
            inspection.look_at_globals(function.__code__, function.__globals__)
    return inspection.state()


def of_coroutines(links: Iterable[object]) -> WorkState:
    """The state of suspended coroutines: their variables, and what their loops iterate over."""
    inspection = _Inspection()
    for number, link in enumerate(links):
        # Asked for first: from then on, the frame is one of the referents.
        frame = coroutine.frame_of(link)
        inspection.look_into(link, hash((number,)), -1)
        if frame is not None:
            inspection.look_at_globals(frame.f_code, frame.f_globals)
    return inspection.state()


class _Inspection:
    """Goes through objects, down to a depth; details come last, and only so many of them."""

    def __init__(self) -> None:
        self._marks: list[object] = []
        self._details: list[object] = []
        self._sizes: dict[int, int] = {}
        self._items: dict[int, list[int]] = {}
        self._numbers: dict[int, float] = {}
        # Objects to look into as details: each with the way to it, its depth, and how many parts of it.
        self._later: deque[tuple[object, int, int, int]] = deque()
        self._is_deep = False

    def state(self) -> WorkState:
        self._is_deep = True
        for _ in range(ALL):
            if not self._later:
                break
            self.look_into(*self._later.popleft())
        marks, details = hash(tuple(self._marks)), hash(tuple(self._details))
        return WorkState(marks, self._sizes, self._items, details, self._numbers)

    def look(self, value: Any, way: int, depth: int, *, is_item: bool = False) -> None:
        """Look at *value*, to which *way* leads; *is_item*: of a container."""
        kind, marks = type(value), self._details if self._is_deep else self._marks
        if kind is str or kind is bytes:
            marks.append(value if len(value) < LONG else (len(value), value[:END], value[-END:]))
        elif kind is int or kind is float:
            self._look_at_number(value, way)
        elif kind is complex:
            self._look_at_number(value.real, hash((way, "real")))
            self._look_at_number(value.imag, hash((way, "imaginary")))
        elif kind in _CONTAINERS or kind is array:
            self._look_at_container(value, way, depth)
        elif kind in _COUNTED:
            marks.append(length_hint(value))
        elif kind is CellType:
            # Other code has the variable, too.
            self._later.append((value, way, depth - 1, 1))
        elif depth >= (DEEP if self._is_deep else DEPTH):
            return
        elif kind is tuple or kind in _NESTED or (not depth and _is_the_programs(value)):
            if kind is GeneratorType and value.gi_frame is not None:
                marks.append(value.gi_frame.f_lasti)
            self.look_into(value, way, depth, are_items=is_item and kind is tuple)
        elif is_item and _is_the_programs(value):
            self._later.append((value, way, depth, PARTS))

    def look_into(
        self, value: object, way: int, depth: int, most: int = PARTS, *, are_items: bool = False
    ) -> None:
        """Look at what *value* refers to."""
        are_items = are_items or (self._is_deep and type(value) in _CONTAINERS)
        for number, held in enumerate(reference_state.held_by(value, most)):
            self.look(held, hash((way, number)), depth + 1, is_item=are_items)

    def look_at_globals(self, code: CodeType, names: dict[str, object]) -> None:
        """Look at the module's variables that *code*, or a function of the module that it calls, names."""
        codes = [code]
        for name in code.co_names[:PARTS]:
            called: Any = dict.get(names, name)
            if issubclass(type(called), FunctionType) and called.__globals__ is names:
                codes.append(called.__code__)
        used = dict.fromkeys(chain.from_iterable(one.co_names[:PARTS] for one in codes[:FEW]))
        for name in used:
            value = dict.get(names, name)
            if type(value) in _VALUES or _is_the_programs(value):
                # In a list of one, as in a cell.
                self._later.append(([value], hash(name), -1, 1))

    def _look_at_number(self, value: float, way: int) -> None:
        if isfinite(value) if isinstance(value, float) else value.bit_length() < MOST_BITS:
            self._numbers[way] = value
        else:
            self._details.append(hash(value))

    def _look_at_container(self, value: Any, way: int, depth: int) -> None:
        kind, size = type(value), len(value)
        self._numbers[way] = size
        if not self._is_deep and kind is not array:
            self._sizes[id(value)] = size
        if kind is bytearray or kind is array:
            self._details += [value[:FEW].tobytes() if kind is array else bytes(value[:END])]
            return
        is_attributes = kind is dict and depth > 0
        # The attributes of an object, or an item of work.
        if depth < (DEEP if self._is_deep else DEPTH) and (is_attributes or size <= FEW):
            self.look_into(value, way, depth, are_items=not is_attributes)
            return
        if kind in _ORDERED and not self._is_deep:
            # The collector may run a finalizer meanwhile, which changes a deque.
            with suppress(RuntimeError):
                self._items[id(value)] = list(map(id, list(islice(value, PARTS))))
        if depth < DEEP:
            self._later.append((value, way, depth, FEW))


def _is_the_programs(value: object) -> bool:
    """Whether it is an object of a class in Python, and no part of asyncio that changes by itself."""
    # Not `isinstance`: an object may compute its `__class__`.
    return reference_state.has_python_class(value) and not issubclass(
        type(value), type | Future | AbstractEventLoop
    )
