"""Hosts that are real: child processes, truly terminated, waited for, and asked over a socket how they are.

No child is left behind. A service that ends well waits for each; however else it ends, their stdin ends with
it (`child.py`). They lead sessions of their own: Ctrl-C in a terminal is for the service alone, which ends
its children when it has no more use for them.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ..cancellation import finish_despite_cancel
from ..errors import HostUnavailableError

LOOPBACK = "127.0.0.1"
# Without `site` and the environment's wishes it starts in 30 ms, and runs nothing but the standard library.
PROGRAM = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")))
# A hundred times what it takes: on a crowded machine, processes are late.
START_S = 10.0
# From SIGTERM to SIGKILL. A stopped process, or one that ignores signals, ends by the second.
GRACE_S = 1.0
# To accept, and to answer one line.
ANSWER_S = 2.0


class Child:
    """A child process and the port it listens on; started and ended as often as one likes, by one at a time.

    Args:
        program: Prints its port once it listens, and goes on until it is ended.
    """

    def __init__(self, name: str, program: Sequence[str] = PROGRAM) -> None:
        self.name = name
        self.port = 0
        self._program = program
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it, and return when it listens. To be called when it does not run.

        Raises:
            HostUnavailableError: It could not be started, ended at once, or was not ready in time.
        """
        try:
            # A loop that is cancelled between fork and exec may forget the process; uvloop does.
            await finish_despite_cancel(self._spawn())
            self.port = await self._announced_port()
        except OSError as exc:  # no such program, no more processes, descriptors or memory
            await self.end()
            raise HostUnavailableError(f"{self.name}: could not be started: {exc}") from exc
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """End it by SIGTERM, or by SIGKILL when that does not help, and return when it has been waited for.

        Cancelled meanwhile, it kills at once.
        """
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(GRACE_S):
                # Also closes the pipes. Something of it may hold them open that is a process of its own.
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
                # A complaint, or nothing; of a traceback, the last line says most.
                *_, said = [b"", *(line + await self._process.stdout.read()).splitlines()]
        except TimeoutError:
            raise HostUnavailableError(f"{self.name}: not ready within {START_S:g} s") from None
        raise HostUnavailableError(f"{self.name}: ended at its start: {said.decode(errors='replace')!r}")


class ProcessHost:
    """A host that is one child process. It runs while the block does, but for the time it is down."""

    def __init__(self, name: str, program: Sequence[str] = PROGRAM) -> None:
        self._child = Child(name, program)

    @property
    def pid(self) -> int | None:
        """None when it is down."""
        return self._child.pid

    async def __aenter__(self) -> Self:
        await self._child.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.end()

    async def restart(self) -> None:
        await self._child.end()
        await self._child.start()

    async def health(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._ask(b"health\n")
        except (OSError, TimeoutError) as exc:
            raise HostUnavailableError(f"{self._child.name}: no answer: {exc!r}") from exc
        if answer != b"ok\n":
            raise HostUnavailableError(f"{self._child.name}: answered {answer!r}")

    async def _ask(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._child.port)
        try:
            writer.write(line)
            return await reader.readline()
        finally:
            # Not `close`: what was not read or written is of no interest, and nothing needs waiting for.
            writer.transport.abort()
