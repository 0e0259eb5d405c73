"""Hosts that are child processes: terminated, waited for, and health-checked over a socket.

No child outlives the service: at a normal end the service waits for each child; otherwise the children end
because their stdin is closed (`child.py`). Each child leads its own session, so Ctrl-C in a terminal reaches
only the service, which then ends its children in order.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..cancellation import finish_despite_cancel
from ..errors import HostUnavailableError

LOOPBACK = "127.0.0.1"
# Isolated and without `site`, it starts in 30 ms and can import only the standard library.
PROGRAM = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")))
# A hundred times the usual time, for busy machines.
START_S = 10.0
# Time from SIGTERM to SIGKILL, which ends a process that is stopped or ignores signals.
GRACE_S = 1.0
# Time to accept a connection and answer one line.
ANSWER_S = 2.0


class ChildHost:
    """A host that is a child process with a port, which runs while the context is active.

    Args:
        program: Prints its port once it listens, and runs until it is terminated.
    """

    def __init__(self, name: str, program: Sequence[str] = PROGRAM) -> None:
        self.name = name
        self._port = 0
        self._program = program
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.end()

    async def restart(self) -> None:
        await self.end()
        await self.start()

    async def start(self) -> None:
        """Start it, and return once it listens. It must not be running.

        Raises:
            HostUnavailableError: It could not be started, ended at once, or was not ready in time.
        """
        try:
            # If cancelled between fork and exec, uvloop forgets the process.
            await finish_despite_cancel(self._spawn())
            self._port = await self._announced_port()
        except OSError as exc:  # no such program; out of processes, descriptors or memory
            await self.end()
            raise HostUnavailableError(f"{self.name}: could not be started: {exc}") from exc
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """Terminate it by SIGTERM, after a grace period by SIGKILL, and wait for it.

        If cancelled, kills it at once.
        """
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(GRACE_S):
                # Also closes the pipes, which a grandchild may hold open.
                await process.communicate()
        except TimeoutError:
            pass
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._program, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )

    async def _announced_port(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await self._process.stdout.readline()
                if line.strip().isdigit():
                    return int(line)
                # An error message, or nothing; the last line of a traceback names the error.
                *_, said = [b"", *(line + await self._process.stdout.read()).splitlines()]
        except TimeoutError:
            raise HostUnavailableError(f"{self.name}: not ready within {START_S:g} s") from None
        raise HostUnavailableError(f"{self.name}: ended at its start: {said.decode(errors='replace')!r}")


class ProcessHost(ChildHost):
    """A child process whose health is checked on the event loop."""

    async def health(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._ask(b"health\n")
        except (OSError, TimeoutError) as exc:
            raise HostUnavailableError(f"{self.name}: no answer: {exc!r}") from exc
        if answer != b"ok\n":
            raise HostUnavailableError(f"{self.name}: answered {answer!r}")

    async def _ask(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        try:
            writer.write(line)
            return await reader.readline()
        finally:
            # `close` would have to be awaited, and unread or unsent data does not matter.
            writer.transport.abort()
