"""Records lost work: destroyed tasks, unawaited coroutines, unretrieved exceptions, swallowed cancellations.

Each kind is written once and then counted, so that a program which loses every task does not fill its record.
Finalizers call this at any time, so there is no lock.
"""

from __future__ import annotations

import os
import sys
from asyncio import Task
from collections.abc import Callable
from types import CoroutineType, FrameType, TracebackType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import (
    CancelSwallowed,
    Coroutine,
    ExceptionLost,
    Frame,
    NeverAwaited,
    Observation,
    TaskDestroyed,
)
from ...record.value import replace
from ..feature import Feature
from ..threads.stack import DEPTH, stack_of
from . import coroutine

Loss = TaskDestroyed | ExceptionLost | NeverAwaited | CancelSwallowed

# A program has more kinds than this only if it generates code.
KINDS = 1_000
ERROR_CHARS = 200


class TaskLosses(Feature):
    """The losses of this process so far."""

    name = "tasks"

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self.dropped = 0  # of kinds beyond the limit
        self._write = write
        self._losses: dict[object, Loss] = {}
        self._written: dict[object, int] = {}

    def reported(self, context: dict[str, Any]) -> None:
        """Called when asyncio reports *context* to a loop's exception handler."""
        error, worker = context.get("exception"), context.get("task") or context.get("future")
        of = coroutine.of_task(worker) if isinstance(worker, Task) else None
        if isinstance(error, BaseException):
            self._lost_exception(str(context.get("message", "")), error, of)
        elif of is not None and "destroyed" in context.get("message", ""):
            # Whether its stack is still known depends on the order in which the collector finalizes objects.
            of = replace(of, stack=())
            self._count(of, TaskDestroyed(monotonic_ns(), os.getpid(), of, 1))

    def unawaited(self, work: CoroutineType[Any, Any, Any]) -> None:
        """Called when Python warns that *work* was never awaited."""
        stack = stack_of(_behind_the_warning(sys._getframe(1)))
        of = coroutine.of_work(work)
        self._count((of, stack), NeverAwaited(monotonic_ns(), os.getpid(), of, stack, 1))

    def swallowed(self, task: Task[Any]) -> None:
        """Called for a task that was cancelled but ended normally."""
        of = coroutine.of_task(task)
        # The key differs from that of destroyed tasks of the same coroutine.
        self._count(("swallowed", of), CancelSwallowed(monotonic_ns(), os.getpid(), of, 1))

    def close(self) -> None:
        """Bring the counts in the record up to date."""
        for key, loss in tuple(self._losses.items()):
            if loss.count != self._written.get(key):
                self._write_loss(key, loss)

    leave = close

    def _lost_exception(self, message: str, error: BaseException, of: Coroutine | None) -> None:
        stack = _raised(error.__traceback__)
        key = (message, type(error), stack, of)
        known = self._losses.get(key)
        # Only the text of the first one is used: `str` of an exception runs the target's code.
        text = known.error if isinstance(known, ExceptionLost) else _text(error)
        self._count(key, ExceptionLost(monotonic_ns(), os.getpid(), message, text, stack, of, 1))

    def _count(self, key: object, loss: Loss) -> None:
        if (known := self._losses.get(key)) is not None:
            loss = replace(known, count=known.count + 1)
        elif len(self._losses) >= KINDS:
            self.dropped += 1
            return
        self._losses[key] = loss
        # At powers of two, so that a process which is killed loses at most half of the count.
        if loss.count & (loss.count - 1) == 0:
            self._write_loss(key, loss)

    def _write_loss(self, key: object, loss: Loss) -> None:
        self._written[key] = loss.count
        self._write(loss)


def _behind_the_warning(frame: FrameType | None) -> FrameType | None:
    """The frame that dropped the coroutine: the one outside Python's function that warns."""
    while frame is not None and frame.f_code.co_name != "_warn_unawaited_coroutine":
        frame = frame.f_back
    return frame and frame.f_back


def _raised(traceback: TracebackType | None) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(Frame(code.co_filename, traceback.tb_lineno or 0, code.co_qualname))
        traceback = traceback.tb_next
    return tuple(frames[-DEPTH:])


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "<its text cannot be read>"
    return f"{type(error).__name__}: {text}"[:ERROR_CHARS].rstrip(": ")
