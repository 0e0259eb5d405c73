"""The hosts by name, restarted one at a time each: two restarts of the same host never overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .ports import Host
from .threads import Threads
from .tracing import span


class Fleet:
    """Restarts hosts and sees that they are healthy afterwards."""

    def __init__(self, make: Callable[[str], Host], threads: Threads) -> None:
        self._make = make
        self._threads = threads
        # Never emptied: a fleet has as many hosts as it has names.
        self._hosts: dict[str, tuple[Host, asyncio.Lock]] = {}

    async def restart(self, name: str) -> None:
        """Wait for the host's turn, restart it and check its health.

        Raises:
            HostUnavailableError: It did not come up, or is not healthy.
        """
        if name not in self._hosts:
            self._hosts[name] = (self._make(name), asyncio.Lock())
        host, turn = self._hosts[name]
        async with turn:
            with span("restart host", attributes={"host.name": name}):
                await host.restart()
                await self._threads.run(_check_health, host)


def _check_health(host: Host) -> None:
    """In a thread; the span still finds its parent, because the context came along."""
    with span("check health"):
        host.check_health()
