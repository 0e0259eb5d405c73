"""The load driver's process, as the runner starts it: the target's or the runner's loop would delay it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ...record.event import describe_status
from ..process.termination import end
from .driver_config import DriverConfig

# How long it may take to import its client library, on a machine that is busy.
READY_WITHIN_S = 60.0
# A driver that runs for this much longer than its schedule and drain counts as stuck.
GRACE_S = 15.0


class DriverProcess:
    """One run of the driver: it says when it is ready, and is then told when its schedule begins."""

    def __init__(self, process: asyncio.subprocess.Process, config: DriverConfig, log: Path, fd: int) -> None:
        self._process = process
        self._config = config
        self._log = log
        self._fd = fd  # readable when it is ready, or has ended

    @classmethod
    async def start(cls, config: DriverConfig, log: Path) -> DriverProcess:
        """Start it, with what it is to do but for the time; what it prints is in *log*."""
        reading, writing = os.pipe()
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    # -P: a `queue.py` in the working directory must not shadow the standard library's.
                    *(sys.executable, "-P", "-m", "harness.drive.load.driver"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    process_group=0,
                    pass_fds=(writing,),
                )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        assert process.stdin is not None
        with suppress(OSError):  # it has ended
            process.stdin.write(replace(config, ready_fd=writing).to_json().encode() + b"\n")
            await process.stdin.drain()
        return cls(process, config, log, reading)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def wait_ready(self) -> None:
        """Return when it waits for the beginning of its schedule, or has ended; at last after a minute."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._fd, told.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(READY_WITHIN_S):
                    await told.wait()
        finally:
            loop.remove_reader(self._fd)
            os.close(self._fd)

    async def drive(self, start_at_ns: int) -> str:
        """Let its schedule begin at that time, and wait for its end; why it failed, "" if it did not."""
        assert self._process.stdin is not None
        config = self._config
        try:
            async with asyncio.timeout(config.duration_s + config.drain_s + GRACE_S):
                await self._process.communicate(f"{start_at_ns}\n".encode())
        except TimeoutError:
            return "it did not end in time"
        finally:
            await self.end()
        if not self._process.returncode:
            return ""
        last = (self._log.read_text(errors="replace").strip().splitlines() or [""])[-1]
        return last or f"it ended {describe_status(self._process.returncode)}"

    async def end(self) -> None:
        """End it, if it runs."""
        await end(self._process)
