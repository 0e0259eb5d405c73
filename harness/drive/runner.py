"""Carries out a scenario: starts the target, loads and breaks it, stops it, and keeps the books.

The runner measures nothing itself and judges nothing: it starts what does, and writes what it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic_ns

from ..errors import HarnessError, MeasurementError, TargetError
from ..record.event import LedgerTaken, RunEnded
from ..record.exit_status import describe_status
from ..record.probe_config import ConsoleConfig, ProbeConfig
from ..record.run import Run, RunFolder
from ..record.scenario import ReadyPort, Scenario
from ..record.writer import Writer
from . import faults, ledger, preflight
from .counters import EVERY_S, Counters
from .gil_watcher import GilWatcher
from .load.driver_config import DriverConfig as LoadOrder
from .process.guard import Guard
from .process.target import TargetProcess
from .process.termination import end
from .profilers import external, pyspy
from .profilers.external import ExternalProfilers
from .progress import Progress, Watcher
from .targets.spec import TargetSpec

# From asking the driver to start until its first request is due: it imports its client library meanwhile.
LEAD_S = 1.0
# A driver that is past its schedule and its drain by this much is stuck.
DRIVER_GRACE_S = 15.0


async def run_scenario(
    scenario: Scenario,
    run: Run,
    folder: RunFolder,
    target_spec: TargetSpec,
    *,
    console: ConsoleConfig | None,
    on_progress: Callable[[Progress], None],
) -> None:
    """Run the scenario from beginning to end; cancelled, it stops everything and says so in the record.

    Cancelled twice, it does so without manners.

    Raises:
        TargetError: The target did not get ready, or ended before its time.
        MeasurementError: The load driver failed, or the target's books cannot be read.
    """
    writer = Writer(folder.events, "runner")
    error, interrupted = "", False
    try:
        # Nobody else may enter it. Not in the run's folder: a socket's path has some 100 characters at most.
        sockets = Path(tempfile.mkdtemp(prefix="harness-"))
        with Guard(sockets) as guard, GilWatcher(folder, writer.write):
            await _Run(scenario, run, folder, target_spec, writer, guard, sockets, console, on_progress).run()
    except asyncio.CancelledError:
        interrupted = True
        raise
    except Exception as exc:
        error = str(exc) or type(exc).__name__
        raise
    finally:
        writer.write(RunEnded(monotonic_ns(), interrupted, error))
        writer.close()


class _Run:
    """One run under way."""

    def __init__(
        self,
        scenario: Scenario,
        run: Run,
        folder: RunFolder,
        target_spec: TargetSpec,
        writer: Writer,
        guard: Guard,
        sockets: Path,
        console: ConsoleConfig | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._run = run
        self._folder = folder
        self._plan = target_spec
        self._writer = writer
        self._guard = guard
        self._sockets = sockets
        self._console = console
        self._on_progress = on_progress
        self._phase = "starting"

    async def run(self) -> None:
        async with self._telling(), self._outside() as outside, self._target() as target:
            await target.wait_ready()
            outside.attach(target.pid)
            await self._measure(target)

    @contextlib.asynccontextmanager
    async def _outside(self) -> AsyncIterator[ExternalProfilers]:
        """The profilers beside the target, finished after it has ended."""
        outside = ExternalProfilers(_outside_names(self._scenario), self._folder, self._writer.write)
        is_well = False
        try:
            yield outside
            is_well = True
        finally:
            await asyncio.to_thread(outside.finish, now=not is_well)

    @contextlib.asynccontextmanager
    async def _target(self) -> AsyncIterator[TargetProcess]:
        """The target, stopped and audited in the end."""
        order = ProbeConfig(
            folder=self._folder.path,
            limit_ns=self._run.block_limit_ns,
            control=str(self._sockets),
            console=self._console,
            profile_span=self._scenario.profile.pyinstrument or "",
            profile_every=self._scenario.profile.pyinstrument_every,
            profile_slower_ms=self._scenario.profile.pyinstrument_slower_ms,
            cprofile=self._scenario.profile.cprofile,
            sample_hz=self._scenario.probe.sample_hz,
            waits=self._scenario.probe.waits,
            waits_for_s=self._scenario.probe.waits_for_s,
            calls=self._scenario.probe.calls,
            origins=self._scenario.probe.origins,
            application=self._scenario.probe.application,
        )
        log = self._folder.artefacts / "target.log"
        target = await TargetProcess.start(self._plan, order, log, self._writer.write)
        stop_signal = signal.Signals[self._plan.stop_signal]
        self._guard.over(target.pid, stop_signal=stop_signal, within_s=self._plan.stop_within_s)
        try:
            yield target
        except BaseException:
            drain_s = await self._stop(target)
            # A target that never got ready has no books yet, and what went wrong first tells more.
            with contextlib.suppress(MeasurementError):
                await self._audit(drain_s)
            raise
        taken = await self._audit(await self._stop(target))
        if (left := await ledger.remove(self._plan, taken)) is not None:
            self._writer.write(left)

    async def _stop(self, target: TargetProcess) -> float | None:
        self._phase = "stopping"
        task = asyncio.current_task()
        asked_twice = task is not None and task.cancelling() > 1
        return await target.stop(at_once=asked_twice)

    async def _measure(self, target: TargetProcess) -> None:
        """Load and faults, until the load is over or the target ends."""
        ended = asyncio.create_task(target.wait_ended())
        work = asyncio.create_task(self._load_and_break(target))
        try:
            await asyncio.wait({ended, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                failed: Exception | None = None
                try:
                    work.result()
                except* HarnessError as group:
                    failed = group.exceptions[0]
                # Not raised in there: early versions of 3.11 put it into a group again.
                if failed is not None:
                    raise failed
            elif self._scenario.load is not None:
                raise TargetError(f"the target ended on its own before the load was over, {ended.result()}")
        finally:
            for task in (work, ended):
                task.cancel()
            await asyncio.gather(work, ended, return_exceptions=True)

    async def _load_and_break(self, target: TargetProcess) -> None:
        load = self._scenario.load
        start_ns = monotonic_ns() + round(LEAD_S * 1e9)
        end_ns = sys.maxsize if load is None else start_ns + round(load.duration_s * 1e9)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(
                    faults.keep_in_force(
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
            if load is None:
                self._phase = "watching"
                await asyncio.Event().wait()  # until the target ends, or somebody interrupts
            else:
                background.append(group.create_task(self._tell_load_phases(end_ns)))
                await self._drive(start_ns)
            for task in background:
                task.cancel()

    async def _tell_load_phases(self, end_ns: int) -> None:
        self._phase = "loading"
        await asyncio.sleep((end_ns - monotonic_ns()) / 1e9)
        self._phase = "draining"

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
        log = self._folder.artefacts / "driver.log"
        with log.open("wb") as output:
            driver = await asyncio.create_subprocess_exec(
                # -P: a `queue.py` in the working directory is not the one it imports.
                *(sys.executable, "-P", "-m", "harness.drive.load.driver"),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        self._guard.over(driver.pid)
        why = ""
        try:
            async with asyncio.timeout(LEAD_S + load.duration_s + load.drain_s + DRIVER_GRACE_S):
                await driver.communicate(order.to_json().encode())
        except TimeoutError:
            why = "it did not end in time"
        finally:
            await end(driver)
        if driver.returncode and not why:
            why = _last_line(log) or f"it ended {describe_status(driver.returncode)}"
        if why:
            # The record says what was sent until then; the report calls such a measurement invalid.
            raise MeasurementError(f"the load driver failed: {why}")

    async def _audit(self, drain_s: float | None) -> LedgerTaken | None:
        """Put the target's own books into the record, where it keeps any."""
        taken = await ledger.audit(self._plan, drain_s=drain_s)
        if taken is not None:
            self._writer.write(taken)
        return taken

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Read the loops' counters, and tell how it stands, all the while."""
        watcher = Watcher(self._folder, self._run.started_ns, for_console=self._console is not None)
        loops = Counters(self._folder)

        async def tell() -> None:
            while True:
                for reading in loops.sample():
                    self._writer.write(reading)
                    watcher.sampled(reading)
                self._on_progress(watcher.look(self._phase))
                await asyncio.sleep(EVERY_S)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait({telling})
            # What went wrong in there must not end a run, and not go unnoticed.
            if not telling.cancelled():
                telling.result()


def _outside_names(scenario: Scenario) -> list[str]:
    asked = {"pyspy": scenario.profile.py_spy, "strace": scenario.profile.strace}
    return [name for name, is_asked in asked.items() if is_asked]


def target_spec(scenario: Scenario, folder: RunFolder, *, console: ConsoleConfig | None) -> TargetSpec:
    """What the scenario's kind of target comes down to.

    Raises:
        UsageError: It cannot be started, or its ports are taken.
    """
    external.check(_outside_names(scenario))
    if scenario.load is not None:
        preflight.check_sender(scenario.load.sender)
    member = importlib.import_module(f".targets.{scenario.target.kind}", __package__)
    made: TargetSpec = member.plan(scenario.target, folder)
    preflight.check_program(made.command[0], cwd=made.cwd, env={**os.environ, **made.env})
    if isinstance(made.ready, ReadyPort):
        preflight.check_port(made.ready.port, of="target.ready.port")
    preflight.check_port(console.port or 0 if console else 0, of="--console-port")
    return made


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or [""])[-1]
