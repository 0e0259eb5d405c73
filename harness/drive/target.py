"""The target as a process: started with the probe inside, awaited until it is ready, stopped with manners."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Self

from ..errors import TargetError, UsageError
from ..record.event import Event, TargetExited, TargetReady, TargetStarted, TargetStopping
from ..record.order import Order
from ..record.scenario import ReadyAfter, ReadyLog, ReadyPort
from .inside import environment
from .targets.plan import Plan

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


class Target:
    """One running target; its output goes to *log*."""

    def __init__(
        self, plan: Plan, process: asyncio.subprocess.Process, log: Path, write: Callable[[Event], object]
    ) -> None:
        self._plan = plan
        self._process = process
        self._log = log
        self._write = write
        self._stopping = False

    @classmethod
    async def start(cls, plan: Plan, order: Order, log: Path, write: Callable[[Event], object]) -> Self:
        """Start it.

        Raises:
            UsageError: There is no such program.
        """
        env = environment(order, {**os.environ, **plan.env})
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *plan.command,
                    cwd=plan.cwd,
                    env=env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Its own group: a Ctrl-C is for the runner, which then stops the target with manners.
                    process_group=0,
                )
        except OSError as exc:
            raise UsageError(f"{plan.command[0]}: cannot be started: {exc.strerror}") from None
        write(TargetStarted(monotonic_ns(), process.pid, plan.command))
        return cls(plan, process, log, write)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait_ready(self) -> None:
        """Wait until it says, in the way of its plan, that load may come.

        Raises:
            TargetError: It ended, or did not get ready in time.
        """
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await self._is_ready():
                    if self._process.returncode is not None:
                        raise TargetError(self._told(f"the target ended with {_in_words(self.status)}"))
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise TargetError(self._told(f"the target was not ready within {READY_WITHIN_S:g} s")) from None
        self._write(TargetReady(monotonic_ns()))

    async def wait_ended(self) -> None:
        """Wait until it ends by itself, and put that down."""
        await self._process.wait()
        if not self._stopping:
            self._write(TargetExited(monotonic_ns(), self.status, expected=False))

    async def stop(self) -> None:
        """Ask it to end, and kill it when it has not within its time."""
        if self._process.returncode is not None:
            return
        self._stopping = True
        self._write(TargetStopping(monotonic_ns(), self._plan.stop_signal))
        self._process.send_signal(signal.Signals[self._plan.stop_signal])
        try:
            async with asyncio.timeout(self._plan.stop_within_s):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._write(TargetExited(monotonic_ns(), self.status, expected=True))

    @property
    def status(self) -> int:
        """How it ended; negative for a signal.

        Raises:
            TargetError: It has not ended.
        """
        if self._process.returncode is None:
            raise TargetError("the target has not ended")
        return self._process.returncode

    async def _is_ready(self) -> bool:
        match self._plan.ready:
            case None:
                return True
            case ReadyAfter(after_s=seconds):
                await asyncio.sleep(seconds)
                return self._process.returncode is None
            case ReadyPort(port=port):
                return await _accepts(port)
            case ReadyLog(log=pattern):
                return _says(self._log, pattern)

    def _told(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"{what}; its last line: {lines[-1]}" if lines else f"{what}; it printed nothing"


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _says(log: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(line) for line in log.read_text(errors="replace").splitlines())


def _in_words(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
