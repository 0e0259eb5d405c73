"""Restarts hosts by name; two restarts of the same host never overlap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from .errors import HostUnavailableError
from .operations.tracing import span
from .ports import AwaitedHealth, BlockingHealth, Host
from .process.thread_pool import ThreadPool

log = logging.getLogger(__name__)

# Longer than any host's own time-outs. Without this limit, a host that hangs would keep its message forever,
# under a lease that is extended forever.
RESTART_WITHIN_S = 30.0
# Messages may name hosts outside of the inventory. Beyond this number, idle ones are forgotten.
MAX_UNLISTED = 10_000


@dataclass(slots=True, eq=False)
class _HostEntry:
    host: Host
    check_health: Callable[[], Awaitable[None]]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0  # restarts running or waiting for their turn
    restarts: int = 0  # completed


class Fleet:
    """Restarts hosts and checks their health afterwards.

    Args:
        make: Makes the host of a name. A host that must be started and ended is an async context manager.
        threads: Runs health checks that block.
        names: The fleet's own hosts, started in this order on entering and ended in reverse.
        within_s: Time limit of a restart including its health check.
    """

    def __init__(
        self,
        make: Callable[[str], Host],
        threads: ThreadPool,
        *,
        names: Sequence[str] = (),
        within_s: float = RESTART_WITHIN_S,
    ) -> None:
        self.names = tuple(names)
        self._make = make
        self._threads = threads
        self._within_s = within_s
        self._own = {name: self._new_entry(name) for name in self.names}
        self._unlisted: dict[str, _HostEntry] = {}
        self._started = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._started as started:
            for name in self.names:
                await self._start(name, started)
            self._started = started.pop_all()  # all were started: keep them
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._started.aclose()

    def restarts(self, name: str) -> int:
        """Number of successful restarts of the host since the fleet was made."""
        entry = self._own.get(name) or self._unlisted.get(name)
        return entry.restarts if entry else 0

    async def restart(self, name: str) -> None:
        """Wait until no other restart of the host is running, restart it and check its health.

        Raises:
            HostUnavailableError: It did not come up in time, or is not healthy.
        """
        entry = self._own.get(name) or self._unlisted_entry(name)
        entry.users += 1
        try:
            async with entry.turn:
                with span("restart host", attributes={"host.name": name}):
                    await self._restart(name, entry)
        finally:
            entry.users -= 1

    async def _restart(self, name: str, entry: _HostEntry) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                await entry.host.restart()
                await entry.check_health()
        except TimeoutError as exc:
            raise HostUnavailableError(f"{name}: not back within {self._within_s:g} s") from exc
        entry.restarts += 1

    async def _start(self, name: str, started: AsyncExitStack) -> None:
        host = self._own[name].host
        if not isinstance(host, AbstractAsyncContextManager):
            return
        # Registered before it has started, because a restart may bring it up later.
        started.push_async_exit(host)
        try:
            await host.__aenter__()
        except HostUnavailableError as exc:
            # The service starts anyway: its purpose is to restart hosts that are down.
            log.warning("host down at the start: %s", exc, extra={"host": name})

    def _unlisted_entry(self, name: str) -> _HostEntry:
        entry = self._unlisted.get(name)
        if entry is None:
            if len(self._unlisted) >= MAX_UNLISTED:
                self._unlisted = {n: entry for n, entry in self._unlisted.items() if entry.users}
            entry = self._unlisted[name] = self._new_entry(name)
        return entry

    def _new_entry(self, name: str) -> _HostEntry:
        host = self._make(name)
        match host:
            case AwaitedHealth():
                return _HostEntry(host, lambda: _await_health(host))
            case BlockingHealth():
                return _HostEntry(host, lambda: self._threads.run(_check_health, host))
        return _HostEntry(host, _healthy)


async def _healthy() -> None:
    """For a host without a health check."""


async def _await_health(host: AwaitedHealth) -> None:
    with span("check health"):
        await host.health()


def _check_health(host: BlockingHealth) -> None:
    """Runs in a thread; the span finds its parent in the copied context."""
    with span("check health"):
        host.check_health()
