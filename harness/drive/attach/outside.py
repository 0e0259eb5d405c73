"""A process that executes no Python now, seen from outside: the line in which its main thread is.

A thread in a long call of C (`time.sleep`, a regular expression, a lock) cannot be entered before it returns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath

from ...record.event import ThreadDump
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..process.cgroup import why_stopped
from ..profilers.look import look
from .subject import Subject


def lines(subject: Subject) -> Iterator[str]:
    """What can be said of the process, as text."""
    pid = subject.pid
    yield f"process {pid} executes no Python that can be interrupted; waiting for it"
    if stopped := why_stopped(pid):
        yield f"it is {stopped}"
        return
    try:
        threads = look(pid).threads
    except PermissionError as exc:
        yield f"the line it is in is unknown: {exc}"
        return
    mains = (thread for thread in threads if thread.native_id in (pid, subject.inner_pid))
    holder = next((thread for thread in threads if thread.has_gil), next(mains, None))
    if holder is not None:
        yield from _of_thread(holder, subject)
    else:
        yield "the line it is in is unknown: no profiler here can read this Python"
    yield "a loop that waits in C, as uvloop's does, returns to Python with its next event, such as a request"


def _of_thread(thread: ThreadDump, subject: Subject) -> Iterator[str]:
    try:
        here = os.readlink(f"/proc/{subject.pid}/cwd")  # noqa: PTH115
    except OSError:
        here = "/nonexistent"
    prefix = PurePath(subject.python).parent.parent
    library = f"{prefix}/lib/python{subject.version[0]}.{subject.version[1]}/"
    blamed = TurnStack(thread.stack, CodeOwnership((f"{here}/",), (library,))).blamed
    has = "has the GIL" if thread.has_gil else "is"
    if blamed is not None:
        yield f"{thread.name or 'a thread'} {has} in {blamed.file}:{blamed.line} {blamed.function}"
