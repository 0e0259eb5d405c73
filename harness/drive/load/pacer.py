"""Waiting for an absolute time: late by tens of microseconds, where epoll alone is late by up to 1 ms."""

from __future__ import annotations

import asyncio
import select
import selectors
import time


class ExactSelector(selectors.EpollSelector):
    """Epoll that wakes on time, for any number of connections.

    `epoll_wait` counts in milliseconds, and Python rounds up. `select` counts in microseconds but knows only
    the first 1024 descriptors. So `select` waits on a single one: epoll's, readable when any of its own is.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The descriptors that are ready, after *timeout* seconds at the latest."""
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


async def wait_until(time_ns: int) -> None:
    """Return when that time (monotonic) has come; at once when it is past.

    An absolute time, because relative waits add up their errors and drift.
    """
    # Even when late a turn of the loop: what was handed over leaves before the next one joins it.
    await asyncio.sleep(max(0, time_ns - time.monotonic_ns()) / 1e9)
