"""Hosts driven through a client library that blocks, and must not be called on the loop.

`MachineClient` stands in for a third-party library: it is synchronous, has a time-out, and raises what the
socket raises. `SdkHost` adapts it to this service.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from random import Random

from ..errors import HostUnavailableError
from ..process.thread_pool import ThreadPool
from .latency import Latency
from .process import LOOPBACK, PROGRAM, ChildHost

# Every blocking call needs a time-out, because nothing else can end its thread.
TIMEOUT_S = 5.0


class MachineClient:
    """A typical client: each call opens a connection, sends a request, and BLOCKS until it is answered."""

    def __init__(self, port: int) -> None:
        self._port = port

    def restart(self, takes_s: float) -> None:
        """Restart the machine, which takes *takes_s* seconds. Raises `OSError`."""
        self._ask(f"restart {takes_s:f}\n", takes_s + TIMEOUT_S)

    def health(self) -> None:
        """Check the machine's health. Raises `OSError`."""
        self._ask("health\n", TIMEOUT_S)

    def _ask(self, line: str, timeout_s: float) -> None:
        with socket.create_connection((LOOPBACK, self._port), timeout_s) as connection:
            connection.sendall(line.encode())
            with connection.makefile() as answers:
                if answers.readline() != "ok\n":
                    raise ConnectionError("the connection was closed without an answer")


class SdkHost(ChildHost):
    """A machine behind a `MachineClient`, here a child process.

    Each restart or health check blocks a thread of *threads*.
    """

    def __init__(
        self, name: str, threads: ThreadPool, latency: Latency, *, seed: int, program: Sequence[str] = PROGRAM
    ) -> None:
        super().__init__(name, program)
        self._threads = threads
        self._latency = latency
        self._random = Random(f"{seed}/{name}")
        # A call whose caller was cancelled goes on in its thread; the next restart must wait for it.
        self._restarting = threading.Lock()

    async def restart(self) -> None:
        if self.pid is None:  # it was killed, or never came up
            await super().restart()
        await self._threads.run(self._restart, self._latency.draw_s(self._random))

    def check_health(self) -> None:
        try:
            MachineClient(self._port).health()
        except OSError as exc:
            raise HostUnavailableError(f"{self.name}: not healthy: {exc}") from exc

    def _restart(self, takes_s: float) -> None:
        try:
            with self._restarting:
                MachineClient(self._port).restart(takes_s)
        except OSError as exc:
            raise HostUnavailableError(f"{self.name}: not restarted: {exc}") from exc
