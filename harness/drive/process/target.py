"""The target as a process: started with the probe inside, awaited until ready, and stopped gracefully."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Self

from ...errors import TargetError
from ...record.event import Event, TargetExited, TargetReady, TargetStarted, TargetStopping, describe_status
from ...record.probe_config import ProbeConfig
from ...record.redact import redacted_command
from ...record.scenario import ReadyAfter, ReadyLog, ReadyPort
from ..targets.spec import TargetSpec
from . import listening
from .log_tail import last_lines
from .probe_env import environment
from .termination import end

READY_WITHIN_S = 60.0
POLL_EVERY_S = 0.05


class TargetProcess:
    """One running target, whose output goes to *log*."""

    def __init__(
        self,
        spec: TargetSpec,
        process: asyncio.subprocess.Process,
        log: Path,
        write: Callable[[Event], object],
    ) -> None:
        self._spec = spec
        self._process = process
        self._log = log
        self._write = write
        self._started_ns = monotonic_ns()
        self._stopping = False
        self._end_recorded = False

    @classmethod
    async def start(
        cls, spec: TargetSpec, config: ProbeConfig, log: Path, write: Callable[[Event], object]
    ) -> Self:
        """Start the target.

        Raises:
            TargetError: The system cannot start it.
        """
        env = environment(config, {**os.environ, **spec.env})
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *spec.command,
                    cwd=spec.cwd,
                    env=env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Its own group: a Ctrl-C is for the runner, which then stops the target gracefully.
                    process_group=0,
                )
        except OSError as exc:
            raise TargetError(f"{spec.command[0]}: cannot be started: {exc.strerror}") from None
        write(TargetStarted(monotonic_ns(), process.pid, redacted_command(spec.command)))
        return cls(spec, process, log, write)

    @property
    def pid(self) -> int:
        """The process id of the target."""
        return self._process.pid

    async def wait_ready(self) -> None:
        """Wait until the target is ready for load, as its spec defines.

        Raises:
            TargetError: The target ended, or was not ready in time.
        """
        ready = self._spec.ready
        within_s = READY_WITHIN_S + (ready.after_s if isinstance(ready, ReadyAfter) else 0)
        try:
            async with asyncio.timeout(within_s):
                while not await self._is_ready():
                    if self._process.returncode is not None:
                        raise TargetError(f"the target did not start: it ended {await self.wait_ended()}")
                    await asyncio.sleep(POLL_EVERY_S)
        except TimeoutError:
            message = self._with_last_line(f"the target was not ready within {within_s:g} s")
            raise TargetError(message) from None
        self._write(TargetReady(monotonic_ns()))

    async def wait_ended(self) -> str:
        """Wait until the target ends by itself, and describe how it ended."""
        await self._process.wait()
        self._record_end()
        return self._with_last_line(describe_status(self.status))

    async def stop(self, *, at_once: bool = False) -> float | None:
        """Send the stop signal, kill the target after its time limit, and kill what remains of its group.

        Returns:
            Seconds until it exited cleanly, or None if it did not, or had ended already.
        """
        asked_ns = monotonic_ns()
        if self._process.returncode is None:
            self._stopping = True
            self._write(TargetStopping(asked_ns, self._spec.stop_signal))
        number = signal.Signals[self._spec.stop_signal]
        try:
            await end(self._process, by=number, within_s=0 if at_once else self._spec.stop_within_s)
        finally:
            self._record_end()
        return (monotonic_ns() - asked_ns) / 1e9 if self._stopping and self.status == 0 else None

    def _record_end(self) -> None:
        if not self._end_recorded:
            self._end_recorded = True
            self._write(
                TargetExited(
                    at_ns=monotonic_ns(),
                    status=self.status,
                    expected=self._stopping,
                    log=f"{self._log.parent.name}/{self._log.name}",
                    last_lines=() if self._stopping else last_lines(self._log),
                )
            )

    @property
    def status(self) -> int:
        """The exit status; negative for a signal.

        Raises:
            TargetError: The target has not ended.
        """
        if self._process.returncode is None:
            raise TargetError("the target has not ended")
        return self._process.returncode

    async def _is_ready(self) -> bool:
        match self._spec.ready:
            case None:
                return True
            case ReadyAfter(after_s=seconds):
                is_over = monotonic_ns() >= self._started_ns + seconds * 1e9
                return is_over and self._process.returncode is None
            case ReadyPort(port=port):
                return await _accepts(port)
            case ReadyLog(log=pattern):
                return _says(self._log, pattern)

    def _with_last_line(self, what: str) -> str:
        lines = last_lines(self._log, 1)
        return f"{what}; {f'its last line: {lines[0]}' if lines else 'it printed nothing'}"


async def _accepts(port: int) -> bool:
    # A service would take a connection that ends at once for a request that failed.
    if (accepts := listening.accepts(port)) is None:
        # A server with a socket for each kind of address may just have opened the first of them.
        await asyncio.sleep(POLL_EVERY_S)
        accepts = listening.accepts(port)
    if accepts is not None:
        return accepts
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _says(log: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(line) for line in log.read_text(errors="replace").splitlines())
