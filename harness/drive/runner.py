"""Carries out a scenario: starts the target, loads and breaks it, stops it, and keeps the books.

The runner measures nothing itself and judges nothing: it starts what does, and writes what it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic_ns

from ..errors import HarnessError, MeasurementError, TargetError
from ..record.event import LedgerTaken, RunEnded
from ..record.order import Order
from ..record.run import Run, RunFolder
from ..record.scenario import Scenario
from ..record.writer import Writer
from .counters import EVERY_S, Counters
from .faults import inside
from .load.order import Order as LoadOrder
from .profilers import pyspy
from .progress import Progress, Watcher
from .target import Target
from .targets.plan import Plan

# From asking the driver to start until its first request is due: it imports its client library meanwhile.
LEAD_S = 1.0
# A driver that is past its schedule and its drain by this much is stuck.
DRIVER_GRACE_S = 15.0
LEDGER_WITHIN_S = 30.0


async def carry_out(
    scenario: Scenario,
    run: Run,
    folder: RunFolder,
    plan: Plan,
    *,
    console_port: int | None,
    on_progress: Callable[[Progress], None],
) -> None:
    """Run the scenario from beginning to end; cancelled, it stops everything and says so in the record.

    Raises:
        TargetError: The target did not get ready, or died on its own.
        MeasurementError: The load driver failed.
        UsageError: The target's program does not exist.
    """
    writer = Writer(folder.events, "runner")
    error, interrupted = "", False
    try:
        with _private_folder() as sockets:
            await _Course(scenario, run, folder, plan, writer, sockets, console_port, on_progress).run()
    except asyncio.CancelledError:
        interrupted = True
        raise
    except HarnessError as exc:
        error = str(exc)
        raise
    finally:
        writer.write(RunEnded(monotonic_ns(), interrupted, error))
        writer.close()


class _Course:
    """One run under way."""

    def __init__(
        self,
        scenario: Scenario,
        run: Run,
        folder: RunFolder,
        plan: Plan,
        writer: Writer,
        sockets: Path,
        console_port: int | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._run = run
        self._folder = folder
        self._plan = plan
        self._writer = writer
        self._sockets = sockets
        self._console_port = console_port
        self._on_progress = on_progress
        self._phase = "starting"

    async def run(self) -> None:
        order = Order(
            folder=self._folder.path,
            limit_ns=self._run.block_limit_ns,
            control=str(self._sockets),
            console_port=self._console_port,
            profile_span=self._scenario.profile.pyinstrument or "",
        )
        log = self._folder.artefacts / "target.log"
        target = await Target.start(self._plan, order, log, self._writer.write)
        try:
            async with self._telling():
                await target.wait_ready()
                await self._measure(target)
                self._phase = "stopping"
        finally:
            began_ns = monotonic_ns()
            await target.stop()
            drain_s = (monotonic_ns() - began_ns) / 1e9
        await self._audit(drain_s if target.status == 0 else None)

    async def _measure(self, target: Target) -> None:
        """Load and faults, until the load is over or the target ends."""
        ended = asyncio.create_task(target.wait_ended())
        work = asyncio.create_task(self._load_and_break(target))
        try:
            await asyncio.wait({ended, work}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and self._scenario.load is not None:
                raise TargetError(f"the target died under load with status {target.status}")
            if work.done():
                try:
                    work.result()
                except* HarnessError as group:
                    raise group.exceptions[0] from None
        finally:
            for task in (work, ended):
                task.cancel()
            await asyncio.gather(work, ended, return_exceptions=True)

    async def _load_and_break(self, target: Target) -> None:
        load = self._scenario.load
        start_ns = monotonic_ns() + round(LEAD_S * 1e9)
        end_ns = sys.maxsize if load is None else start_ns + round(load.duration_s * 1e9)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(
                    inside.carry_out(
                        fault,
                        start_ns=start_ns,
                        end_ns=end_ns,
                        seed=self._run.seed + number,
                        sockets=self._sockets,
                        write=self._writer.write,
                    )
                )
                for number, fault in enumerate(self._scenario.faults)
            ]
            if self._scenario.profile.py_spy_s is not None:
                seconds = self._scenario.profile.py_spy_s
                group.create_task(pyspy.record(target.pid, seconds, self._folder, self._writer.write))
            self._phase = "loading" if load is not None else "watching"
            if load is None:
                await asyncio.Event().wait()  # until the target ends, or somebody interrupts
            else:
                await self._drive(start_ns)
            for task in background:
                task.cancel()

    async def _drive(self, start_ns: int) -> None:
        """The load driver, in its own process: in the target's or the runner's loop it would lie."""
        load = self._scenario.load
        assert load is not None
        order = LoadOrder(
            events=str(self._folder.events),
            start_at_ns=start_ns,
            sender=load.sender,
            parameters={**load.parameters(), **self._plan.sender},
            arrival=load.arrival,
            rate_per_s=load.rate_per_s,
            duration_s=load.duration_s,
            seed=self._run.seed,
            drain_s=load.drain_s,
        )
        driver = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "harness.drive.load.driver"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        try:
            async with asyncio.timeout(LEAD_S + load.duration_s + load.drain_s + DRIVER_GRACE_S):
                _, errors = await driver.communicate(order.to_json().encode())
        except TimeoutError:
            errors = b"it did not end in time"
        finally:
            await _end(driver)
        if driver.returncode:
            # The record says what was sent until then; the report calls such a measurement invalid.
            why = errors.decode(errors="replace").strip() or f"status {driver.returncode}"
            raise MeasurementError(f"the load driver failed: {why}")

    async def _audit(self, drain_s: float | None) -> None:
        """Put the target's own books into the record, where it keeps any."""
        if not self._plan.ledger_command:
            return
        audit = await asyncio.create_subprocess_exec(
            *self._plan.ledger_command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LEDGER_WITHIN_S):
                output, errors = await audit.communicate()
        finally:
            await _end(audit)
        if audit.returncode:
            raise TargetError(f"the ledger cannot be read: {errors.decode(errors='replace').strip()}")
        self._writer.write(LedgerTaken(at_ns=monotonic_ns(), drain_s=drain_s, **json.loads(output)))

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Read the loops' counters, and tell how it stands, all the while."""
        watcher = Watcher(self._folder, self._run.started_ns)
        loops = Counters(self._folder)

        async def tell() -> None:
            while True:
                for reading in loops.sample():
                    self._writer.write(reading)
                    watcher.sampled(reading)
                self._on_progress(watcher.look(self._phase, for_console=self._console_port is not None))
                await asyncio.sleep(EVERY_S)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


def plan(scenario: Scenario, folder: RunFolder) -> Plan:
    """What the scenario's kind of target comes down to."""
    member = importlib.import_module(f".targets.{scenario.target.kind}", __package__)
    made: Plan = member.plan(scenario.target, folder)
    return made


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder for the control sockets that nobody else may enter.

    Not in the run's folder: a socket's path may have some hundred characters at most.
    """
    folder = Path(tempfile.mkdtemp(prefix="harness-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
