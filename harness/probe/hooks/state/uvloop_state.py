"""Reads what uvloop keeps about its loops and handles.

Its classes are compiled and show no attributes. What they refer to, Python's garbage collector tells, in the
order of their fields: this takes about a microsecond, on any thread.
"""

from __future__ import annotations

import gc
import sys
from asyncio import AbstractEventLoop, Handle, TimerHandle
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any

_MODULE = "uvloop.loop"


def is_uvloops(thing: object) -> bool:
    """Whether a loop or handle is one of uvloop's."""
    cls = type(thing)
    return (_MODULE in sys.modules) and any(base.__module__ in (_MODULE, "uvloop") for base in cls.__mro__)


def ready(loop: AbstractEventLoop) -> Sequence[Handle]:
    """The handles to run in the next turn, oldest first: the loop's own queue."""
    return next((held for held in gc.get_referents(loop) if type(held) is deque), ())


def timers(loop: AbstractEventLoop) -> Sequence[TimerHandle]:
    """The handles of `call_later` and `call_at`, in no order."""
    for held in gc.get_referents(loop):
        # A copy by one step of the interpreter: the loop's thread may change the set at any time.
        if type(held) is set and held and type(first := (copy := list(held))[0]).__name__ == "TimerHandle":
            return copy if is_uvloops(first) else ()
    return ()


def watched_files(loop: AbstractEventLoop) -> Mapping[int, tuple[Handle | None, Handle | None]]:
    """The reading and the writing handle of each file of `add_reader`, `sock_recv` and their like."""
    for held in gc.get_referents(loop):
        if type(held) is dict and held:
            polls = dict(held)
            if all(type(poll).__name__ == "UVPoll" for poll in polls.values()):
                return {fd: _handles(poll) for fd, poll in polls.items()}
    return {}


def callback(handle: object) -> Any:
    """The function that *handle* calls; `None` if it is cancelled or calls a method of the loop itself."""
    called = _fields(handle)[0]
    return called if callable(called) else None


def arguments(handle: object) -> Sequence[Any]:
    """The positional arguments of the callback of *handle*, or what the loop's own method is called with."""
    called, *held = _fields(handle)
    if isinstance(called, AbstractEventLoop) or not callable(called):
        return [value for value in held if value is not None]
    return held[0] if held and isinstance(held[0], tuple) else ()


def context(handle: object) -> Context | None:
    """The context in which the callback of *handle* runs."""
    return next((held for held in gc.get_referents(handle) if type(held) is Context), None)


def _handles(poll: object) -> tuple[Handle | None, Handle | None]:
    # The loop, two fields of every handle of libuv, then the reading and the writing handle.
    reading, writing = gc.get_referents(poll)[3:5]
    return _handle(reading), _handle(writing)


def _handle(held: Any) -> Handle | None:
    return held if type(held).__name__ == "Handle" else None


def _fields(handle: object) -> list[Any]:
    """What *handle* calls, and with what. A timer's fields begin with it, others with loop and context."""
    held = gc.get_referents(handle)
    is_timer = type(handle).__name__ == "TimerHandle"
    return (held[:2] if is_timer else held[2:]) or [None]
