"""Measures what transports and queues hold, and notes which lines of the program add to those that grow.

An object is followed from when it holds much; while it grows, a few of the calls that add to it are seen.
"""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import ref

from ...record.clock import monotonic_ns
from ...record.observation import BufferFed, BufferFound, BufferLevel, Observation
from ...record.value import Row
from ..hooks.call_tap import CallTap
from ..hooks.state import sync_state, transport_state
from ..hooks.state.thread_state import name_of_this_thread
from ..tasks.register import registered
from ..threads.stack import stack_of
from .queues import QueueSearch, size_bytes

# A transport that holds less, or less than this many times what it is configured to hold, is well.
LEAST_BYTES, TIMES_LIMIT = 262_144, 3
# A queue with fewer items is well.
LEAST_ITEMS = 50
# Objects that are followed at a time; further ones are not. One that has held little for this many looks is
# followed no more.
FOLLOWED, AT_REST = 200, 5
# Objects of which the calls are seen at a time, how many calls of each, and how many different ones of each
# are recorded.
TAPPED, CALLS, STACKS = 10, 20, 4
# Callers that distinguish them.
CALLERS = 4
# The methods by which the program adds to a transport, and to a queue.
_WRITES, _PUTS = ("write", "writelines", "sendto"), ("_put",)


class _Size(Row):
    held: int  # bytes of a transport, items of a queue
    least: int  # to be followed


class _HeldBuffer:
    __slots__ = (
        "at_rest",
        "calls",
        "fed_per_s",
        "last_ns",
        "number",
        "places",
        "size",
        "tap",
        "tapped_ns",
        "thing",
    )

    def __init__(self, number: int, thing: Any) -> None:
        self.number = number
        self.thing: ref[Any] = ref(thing)
        self.size = 0  # items or bytes, at the last look
        self.at_rest = 0  # looks
        self.tap: CallTap | None = None
        self.tapped_ns = self.last_ns = 0  # when it was made, and when it saw its last call
        self.calls = 0  # that it saw
        self.fed_per_s: float | None = None
        self.places: set[tuple[int, ...]] = set()  # from which the recorded calls came

    def untap(self) -> None:
        tap, self.tap = self.tap, None
        if tap is not None:
            tap.close()
            # One that has seen all that it may see has not seen the time since.
            end_ns = self.last_ns if self.calls >= CALLS else monotonic_ns()
            self.fed_per_s = self.calls / max(1e-6, (end_ns - self.tapped_ns) / 1e9)


class Buffers:
    """The transports and queues that hold much."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._search = QueueSearch()
        self._followed: dict[int, _HeldBuffer] = {}  # by the object's id
        self._numbers = 0

    def look(self, loops: Sequence[AbstractEventLoop]) -> tuple[BufferLevel, ...]:
        """The levels now."""
        self._forget()
        for thing in self._things(loops):
            if id(thing) not in self._followed and len(self._followed) < FOLLOWED:
                size = _size_of(thing)
                if size.held >= size.least:
                    self._follow(thing)
        return tuple(self._levels())

    def close(self) -> None:
        """Restore what is replaced."""
        for followed in self._followed.values():
            followed.untap()

    def _things(self, loops: Sequence[AbstractEventLoop]) -> Iterator[Any]:
        for loop in loops:
            yield from transport_state.unsent(loop)
        yield from self._search.found(registered() or [], loops)

    def _follow(self, thing: Any) -> None:
        with suppress(TypeError):  # a class that permits no weak reference
            followed = self._followed[id(thing)] = _HeldBuffer(self._numbers, thing)
            self._numbers += 1
            kind = "queue" if _is_queue(thing) else "transport"
            name = type(thing).__qualname__
            self._write(BufferFound(monotonic_ns(), os.getpid(), followed.number, kind, name))

    def _levels(self) -> Iterator[BufferLevel]:
        for key, followed in list(self._followed.items()):
            if (thing := followed.thing()) is None:
                continue
            held, least = _size_of(thing)
            grew, followed.size = held > followed.size, held
            followed.at_rest = 0 if held >= least // 4 else followed.at_rest + 1
            followed.untap()
            if grew:
                self._watch_calls(followed, thing)
            elif followed.at_rest > AT_REST:
                del self._followed[key]
            items, size = (held, size_bytes(thing)) if _is_queue(thing) else (None, held)
            yield BufferLevel(followed.number, items, size, followed.fed_per_s)

    def _watch_calls(self, followed: _HeldBuffer, thing: Any) -> None:
        tapped = sum(other.tap is not None for other in self._followed.values())
        if tapped < TAPPED:
            followed.tapped_ns, followed.calls = monotonic_ns(), 0
            owner = thing if _is_queue(thing) else transport_state.written_to(thing)
            names = _PUTS if _is_queue(thing) else _WRITES
            followed.tap = CallTap(owner, names, lambda frame: self._called(followed, frame), calls=CALLS)

    def _called(self, followed: _HeldBuffer, frame: FrameType) -> None:
        followed.calls += 1
        followed.last_ns = monotonic_ns()
        place = _place_of(frame)
        if place not in followed.places and len(followed.places) < STACKS:
            followed.places.add(place)
            thread, stack = name_of_this_thread(), stack_of(frame)
            self._write(BufferFed(monotonic_ns(), os.getpid(), followed.number, thread, stack))

    def _forget(self) -> None:
        """Follow no more what is deleted, or closed and so without a reader."""
        for key, followed in list(self._followed.items()):
            thing = followed.thing()
            if thing is None or (not _is_queue(thing) and thing.is_closing()):
                followed.untap()
                del self._followed[key]


def _place_of(frame: FrameType | None) -> tuple[int, ...]:
    """What distinguishes the calls from different places, and is found quickly."""
    place: list[int] = []
    while frame is not None and len(place) < 2 * CALLERS:
        place += (id(frame.f_code), frame.f_lasti)
        frame = frame.f_back
    return tuple(place)


def _size_of(thing: Any) -> _Size:
    if _is_queue(thing):
        return _Size(sync_state.size(thing), LEAST_ITEMS)
    least = max(LEAST_BYTES, TIMES_LIMIT * transport_state.high_water(thing))
    return _Size(transport_state.size(thing), least)


def _is_queue(thing: Any) -> bool:
    return hasattr(type(thing), "put_nowait")
