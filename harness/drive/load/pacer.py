"""Waits for an absolute time, late by tens of microseconds; epoll alone is late by up to 1 ms."""

from __future__ import annotations

import asyncio
import select
import selectors
import time


class ExactSelector(selectors.EpollSelector):
    """Epoll that wakes on time, for any number of connections.

    `epoll_wait` counts in milliseconds, and Python rounds up. `select` counts in microseconds, but only
    accepts descriptors below 1024. So `select` waits for epoll's own descriptor, which is readable when any
    of epoll's is.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The ready descriptors, after *timeout* seconds at most."""
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


async def wait_until(time_ns: int) -> None:
    """Wait until the monotonic time *time_ns*; return at once if it has passed.

    The time is absolute, because the errors of relative waits add up.
    """
    # When late, still give the loop a turn, so that a request is sent before the next one is added.
    await asyncio.sleep(max(0, time_ns - time.monotonic_ns()) / 1e9)
