"""A child process of the soak, which never outlives its block."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

# Maximum wait for a process, generous for busy machines.
PATIENCE_S = 60.0
# Where ``tests.soak`` can be imported.
ROOT = Path(__file__).parents[2]


class Process:
    """A running Python module; made by `running`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def said(self, word: str, log: Path) -> None:
        """Wait until the log contains *word*.

        Raises:
            TimeoutError: It did not appear in time, or before the process ended.
        """
        deadline = time.monotonic() + PATIENCE_S
        while word not in log.read_text():
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise TimeoutError(f"never said {word!r}: {log}")
            await asyncio.sleep(0.01)

    async def end(self, signum: signal.Signals) -> tuple[int, float]:
        """Send the signal; return the exit status and the seconds until the exit.

        Raises:
            TimeoutError: The process goes on.
        """
        began = time.monotonic()
        if self._process.returncode is None:
            self._process.send_signal(signum)
        return await self.ended(), time.monotonic() - began

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()


@asynccontextmanager
async def running(
    module: str,
    arguments: Sequence[str],
    *,
    log: Path,
    out: Path | None = None,
    hear: Callable[[str], object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run the module as a process while the block runs.

    Args:
        log: File to which its stderr is appended.
        out: File to which its stdout is appended.
        hear: Called with each line of its stdout, including those written before it was killed.
    """
    with log.open("ab") as errors, (out or log).open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdout=asyncio.subprocess.PIPE if hear else output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
        )
    hearing = asyncio.create_task(_hear(process, hear)) if hear else None
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if hearing:
            await hearing


async def _hear(process: asyncio.subprocess.Process, hear: Callable[[str], object]) -> None:
    if process.stdout is None:  # never: it is a pipe, see above
        return
    async for line in process.stdout:
        if line.endswith(b"\n"):  # a line cut by a kill confirms nothing
            hear(line.decode().rstrip())
