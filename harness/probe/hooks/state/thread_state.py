"""The threads that `threading` knows, read without the lock that a late thread may hold; and their frames."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import accumulate, chain, repeat, takewhile
from operator import call
from types import FrameType
from typing import Any

from ..hook import leave_out
from ..runtime import collects_in_the_midst_of_a_call, listed_interpreters

_listed_interpreters = listed_interpreters()
_COLLECTS = collects_in_the_midst_of_a_call()
# Run by `map` without an instruction of Python in between, at which another thread could get the GIL.
_WITHOUT_COLLECTION: tuple[Any, ...] = (gc.disable, sys._current_frames, gc.enable)
# A stack is made up to this depth.
_DEPTH = 1_000
_getattr: Any = getattr


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread, by its ident; none while there are other interpreters.

    Python makes the frames of their threads as well, in the memory of this one. An interpreter with a GIL of
    its own then returns them to its own memory, and the process aborts.

    Python 3.11 holds a lock of the interpreter meanwhile. A garbage collection that begins then, as these
    frames are allocated, waits for that lock for ever if it meets a `threading.local` (cpython#106883).
    The frames further out are made as well: one that is made when it is asked for may be that of a call
    which has ended, because a finalizer that a collection runs meanwhile lets its thread go on. Python then
    crashes.
    """
    if len(_listed_interpreters()) > 1:
        leave_out("stacks", "this process has other interpreters, whose frames must not be read")
        return {}
    if not (_COLLECTS and gc.isenabled()):
        return sys._current_frames()
    frames: dict[int, FrameType]
    try:
        _, frames, _ = map(call, _WITHOUT_COLLECTION)
        for innermost in frames.values():
            further: Iterator[Any] = accumulate(chain((innermost,), repeat("f_back", _DEPTH)), _getattr)
            steps: tuple[Any, ...] = (gc.disable, partial(list, takewhile(bool, further)), gc.enable)
            deque(map(call, steps), 0)
    except BaseException:
        gc.enable()
        raise
    return frames


def known_threads() -> list[tuple[int, threading.Thread]]:
    """The ident and the object of each thread in `threading.enumerate`."""
    return list(threading._active.items())  # type: ignore[attr-defined]


def this_thread() -> threading.Thread | None:
    """The object of the calling thread, if `threading` has started it."""
    return threading._active.get(threading.get_ident())  # type: ignore[attr-defined,no-any-return]


def forget_this_thread() -> None:
    """Remove this thread's entry, which `threading.current_thread` adds for a thread it does not know."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


def name_of_this_thread() -> str:
    """The name of the calling thread; "" if `threading` does not know it, which asking it would change."""
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
    return thread.name if thread is not None else ""
