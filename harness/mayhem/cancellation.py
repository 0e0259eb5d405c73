"""Waits that end early when something else is wanted, and tasks that end although they did not hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from typing import TypeVar

T = TypeVar("T")

# Until a task that is still there is cancelled again.
AGAIN_S = 0.1


class Waits:
    """Any number of waits that can be ended together, once and for all.

    Without a task for each of them, because some are begun for every message.
    """

    def __init__(self) -> None:
        self.ended = False
        self._open: set[asyncio.Timeout] = set()

    async def unless_ended(self, work: Awaitable[T]) -> T | None:
        """What *work* gives; none once the waits are ended, and then it is cancelled.

        For work that a cancel at any point does no harm.
        """
        wait = asyncio.timeout(0 if self.ended else None)
        try:
            async with wait:
                self._open.add(wait)
                return await work
        except TimeoutError:
            if not wait.expired():
                raise
            return None
        finally:
            self._open.discard(wait)

    def end(self) -> None:
        """End those that are open, and all that come. Called from signal handlers: it cannot fail."""
        if not self.ended:
            self.ended = True
            for wait in self._open:
                wait.reschedule(0)


async def ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks until they have ended.

    Once is not enough for one that goes on for ever and calls a library: before Python 3.12,
    `asyncio.wait_for` swallows a cancellation that comes together with the answer.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
