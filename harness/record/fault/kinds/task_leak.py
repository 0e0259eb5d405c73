"""`task.leak`: a task that waits for ever."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from ..catalogue import Effect, Resolve
from ..running_loop import is_in_loop, running_loop


@dataclass(frozen=True, slots=True)
class TaskLeak:
    """The call starts a task that waits until the fault is undone."""

    shows: ClassVar[str] = "tasks whose number only grows, with the place where they wait"

    def describe(self) -> str:
        return "starts a task that waits for ever"

    def prepare(self, resolve: Resolve) -> Effect:
        leaks = _Leaks()
        return Effect(leaks.start, fits=is_in_loop, release=leaks.end)


class _Leaks:
    def __init__(self) -> None:
        self._tasks: list[tuple[Any, Any]] = []  # each with its loop
        self._pid = os.getpid()

    def start(self) -> None:
        loop = running_loop()
        self._tasks.append((loop, loop.create_task(_wait())))

    def end(self) -> None:
        while self._tasks:
            loop, task = self._tasks.pop()
            # A child after `fork` shares the descriptor by which its parent's loop is woken.
            if os.getpid() == self._pid and not loop.is_closed():
                with suppress(RuntimeError):  # it was closed just now
                    loop.call_soon_threadsafe(task.cancel)


async def _wait() -> None:
    await sys.modules["asyncio"].Event().wait()


KIND = TaskLeak
