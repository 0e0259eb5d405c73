"""Samples the other threads of the process when a loop is late: one of them may hold the GIL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from ...record.observation import Frame, OtherThread
from ...record.value import Row
from ..hooks.state.thread_state import current_frames, known_threads
from . import usage
from .stack import stack_of

# The prefix of the names of the probe's own threads, where `threading` knows them.
OWN = "harness-"
# Sampling a thread reads two small files of /proc.
MOST_THREADS = 64


def frames() -> dict[int, FrameType]:
    """The innermost frame of every thread but this one, by its ident.

    A caller's own frame would refer to the result, and the result to it: all these frames and their variables
    would then live until the next collection.
    """
    found = current_frames()
    found.pop(threading.get_ident(), None)
    return found


def running(method: CodeType) -> Iterator[Any]:
    """The ``self`` of each call of *method* that is in progress in another thread."""
    for innermost in frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is method:
                yield frame.f_locals["self"]
            frame = frame.f_back


class ThreadSighting(Row):
    """One thread in one sample."""

    name: str
    stack: tuple[Frame, ...]
    cpu_ns: int
    syscall: str


Stacks = list[tuple[int, str, tuple[Frame, ...]]]


def stacks(frames: dict[int, FrameType], loop_thread: int) -> Stacks:
    """The native id, name and stack of every thread but the loop's and the probe's.

    *frames* must have been taken just now, without releasing the GIL since: then a thread that held the GIL
    is still in the call in which it held it.
    """
    return [
        (thread.native_id or 0, thread.name, stack_of(frames[ident]))
        for ident, thread in known_threads()[:MOST_THREADS]
        if ident in frames and ident != loop_thread and not thread.name.startswith(OWN)
    ]


def busy(stacks: Stacks, least_cpu_ns: int) -> dict[int, ThreadSighting]:
    """The threads that have used at least *least_cpu_ns* in their life, by native id.

    A thread that held the GIL for the time in question has used at least that much.
    """
    seen = {}
    for native_id, name, stack in stacks:
        used = usage.usage(native_id)
        if used is None:  # it has ended since, so it was not waiting for anything
            seen[native_id] = ThreadSighting(name, stack, 0, "running")
        elif used.cpu_ns >= least_cpu_ns:
            seen[native_id] = ThreadSighting(name, stack, used.cpu_ns, usage.call_of_another(native_id))
    return seen


def since(first: dict[int, ThreadSighting]) -> tuple[OtherThread, ...]:
    """The threads of an earlier sample, with the CPU time that each has used since."""
    others = []
    for native_id, seen in first.items():
        used = usage.usage(native_id)
        used_ns = used.cpu_ns - seen.cpu_ns if used is not None else 0
        others.append(OtherThread(seen.name, seen.stack, seen.cpu_ns, used_ns, seen.syscall))
    return tuple(others)


def name_of(ident: int) -> str:
    """The name of the thread with that ident; "" if `threading` does not know it."""
    return next((thread.name for known, thread in known_threads() if known == ident), "")
