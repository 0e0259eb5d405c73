"""The other threads of the process: looked at when a loop is late, for one of them may hold the GIL."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import NamedTuple

from ...record import hidden_thread
from ...record.observation import Frame, OtherThread
from ..hooks.thread_state import known_threads
from . import usage
from .stack import stack_of

# The probe's threads that `threading` knows of, for a console or a profile, have names of this kind.
OWN = "harness-"
# Each costs two small files of /proc.
LOOKED_AT = 64


def total() -> int:
    """How many threads this process has, counted by the kernel, as Python does before a fork."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


def own() -> int:
    """How many of them are the probe's."""
    return hidden_thread.alive() + sum(str(thread.name).startswith(OWN) for _, thread in known_threads())


def frames() -> dict[int, FrameType]:
    """The innermost frame of every thread but this one, by its ident.

    With its own, whoever keeps them in a variable would be kept by them, and with it everything that the
    other threads have in theirs, until the collector comes.
    """
    found = sys._current_frames()
    del found[threading.get_ident()]
    return found


class ThreadSighting(NamedTuple):
    """One thread at one look."""

    name: str
    stack: tuple[Frame, ...]
    cpu_ns: int
    syscall: str


Stacks = list[tuple[int, str, tuple[Frame, ...]]]


def stacks(frames: dict[int, FrameType], loop_thread: int) -> Stacks:
    """The native id, name and stack of every thread but the loop's and the probe's.

    *frames* are of this moment, and the GIL was not given away since: a thread that lost it just now still
    stands at the call in which it had it.
    """
    return [
        (thread.native_id or 0, thread.name, stack_of(frames[ident]))
        for ident, thread in known_threads()[:LOOKED_AT]
        if ident in frames and ident != loop_thread and not thread.name.startswith(OWN)
    ]


def busy(stacks: Stacks, least_cpu_ns: int) -> dict[int, ThreadSighting]:
    """Those of the threads that ever used so much, by native id: who held the GIL used as much."""
    seen = {}
    for native_id, name, stack in stacks:
        used = usage.usage(native_id)
        if used is None:  # it has ended since, so it did not wait for anything
            seen[native_id] = ThreadSighting(name, stack, 0, "running")
        elif used.cpu_ns >= least_cpu_ns:
            seen[native_id] = ThreadSighting(name, stack, used.cpu_ns, usage.syscall(native_id))
    return seen


def since(first: dict[int, ThreadSighting]) -> tuple[OtherThread, ...]:
    """The threads of a first look, and what each has used since then."""
    others = []
    for native_id, seen in first.items():
        used = usage.usage(native_id)
        used_ns = used.cpu_ns - seen.cpu_ns if used is not None else 0
        others.append(OtherThread(seen.name, seen.stack, seen.cpu_ns, used_ns, seen.syscall))
    return tuple(others)
