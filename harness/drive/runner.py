"""Runs a scenario: starts the target, loads it and injects faults, stops it, and reads its ledger.

The runner itself neither measures nor judges: it starts what measures, and records what it did.
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
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from ..errors import HarnessError, MeasurementError, TargetError
from ..record import redact
from ..record.event import LedgerTaken
from ..record.options.load import AnyLoad
from ..record.probe_config import ConsoleConfig, ProbeConfig
from ..record.run import Run
from ..record.run_folder import RunFolder
from ..record.scenario import ReadyPort, Scenario
from ..record.writer import Writer
from . import faults, ledger, preflight, seal
from .counters import EVERY_S, Counters
from .gil_watcher import GilWatcher
from .hang.watcher import HangSettings, HangWatcher
from .load.driver_config import DriverConfig
from .load.driver_process import DriverProcess
from .network import proxies
from .network.proxies import Proxies
from .process.guard import Guard
from .process.invitations import Invitations
from .process.process_tree import ProcessTree
from .process.target import TargetProcess
from .profilers import external, pyspy
from .profilers.external import ExternalProfilers
from .progress import Progress, ProgressReader
from .targets.spec import TargetSpec

# Time from when the driver is ready to its first request, in which faults that begin with it are injected.
LEAD_S = 0.3


def run_until_signal(
    scenario: Scenario,
    run: Run,
    folder: RunFolder,
    target_spec: TargetSpec,
    *,
    console: ConsoleConfig | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_hang: Callable[[str], None] = lambda _: None,
) -> None:
    """As `run_scenario`, on a loop of its own; SIGINT and SIGTERM cancel it.

    Raises:
        TargetError, MeasurementError: As of `run_scenario`.
        CancelledError: It was cancelled, and has stopped.
    """

    async def carry_out() -> None:
        task = asyncio.current_task()
        assert task is not None
        # Handlers, since `asyncio.run` alone would raise KeyboardInterrupt anywhere on the second Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await run_scenario(
            scenario, run, folder, target_spec, console=console, on_progress=on_progress, on_hang=on_hang
        )

    asyncio.run(carry_out())


async def run_scenario(
    scenario: Scenario,
    run: Run,
    folder: RunFolder,
    target_spec: TargetSpec,
    *,
    console: ConsoleConfig | None,
    on_progress: Callable[[Progress], None],
    on_hang: Callable[[str], None],
) -> None:
    """Run the scenario from beginning to end.

    *on_hang* is called in another thread, with a line about a loop that hangs.

    When cancelled, stop everything gracefully and record the interruption; when cancelled twice, kill the
    target.

    Raises:
        TargetError: The target did not become ready, or ended too early.
        MeasurementError: The load driver failed, or the target's ledger cannot be read.
    """
    writer, reserve = Writer(folder.events, "runner"), seal.DiskReserve(folder)
    error, interrupted = "", False
    try:
        # Private to this user, and not in the run's folder: the path of a socket is limited to about 100
        # bytes.
        sockets = Path(tempfile.mkdtemp(prefix="harness-"))
        with (
            Guard(sockets) as guard,
            GilWatcher(folder, writer.write) as dumps,
            HangWatcher(folder, _hang_settings(scenario), writer.write, dumps, on_hang),
            ProcessTree(folder, writer.write) as processes,
        ):
            await _Run(
                scenario,
                run,
                folder,
                target_spec,
                writer,
                guard,
                processes,
                sockets,
                console,
                on_progress,
            ).run()
    except asyncio.CancelledError:
        interrupted = True
        raise
    except Exception as exc:
        error = str(exc) or type(exc).__name__
        raise
    finally:
        seal.end(folder, writer, reserve, error=error, interrupted=interrupted)


@dataclass(slots=True)
class _Run:
    _scenario: Scenario
    _run: Run
    _folder: RunFolder
    _spec: TargetSpec
    _writer: Writer
    _guard: Guard
    _processes: ProcessTree
    _sockets: Path
    _console: ConsoleConfig | None
    _on_progress: Callable[[Progress], None]
    _phase: str = "starting"
    _proxies: Proxies | None = None

    async def run(self) -> None:
        log = self._folder.artefacts / "proxies.log"
        async with (
            self._reporting(),
            self._profilers() as profilers,
            proxies.running(self._scenario.proxies, log, self._guard.over) as self._proxies,
            self._target() as target,
        ):
            await target.wait_ready()
            profilers.attach(target.pid)
            await self._measure(target)

    @contextlib.asynccontextmanager
    async def _profilers(self) -> AsyncIterator[ExternalProfilers]:
        """The external profilers, finished after the target has ended."""
        profilers = ExternalProfilers(_profiler_names(self._scenario), self._folder, self._writer.write)
        is_well = False
        try:
            yield profilers
            is_well = True
        finally:
            await asyncio.to_thread(profilers.finish, now=not is_well)

    @contextlib.asynccontextmanager
    async def _target(self) -> AsyncIterator[TargetProcess]:
        """The target; on exit it is stopped, and its ledger is read."""
        config = ProbeConfig(
            folder=str(self._folder.path),
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
            secrets=self._scenario.variables,
            hang_ms=self._scenario.probe.hang_ms,
            hang_exit_s=self._scenario.probe.hang_exit_s,
        )
        log = self._folder.artefacts / "target.log"
        target = await TargetProcess.start(self._spec, config, log, self._writer.write)
        self._processes.follow(target.pid)
        stop_signal = signal.Signals[self._spec.stop_signal]
        self._guard.over(target.pid, stop_signal=stop_signal, within_s=self._spec.stop_within_s)
        try:
            with Invitations(config) as invitations:
                invitations.invite(target.pid)
                yield target
        except BaseException:
            drain_s = await self._stop(target)
            # A target that never became ready has no ledger yet, and the first error says more.
            with contextlib.suppress(MeasurementError):
                await self._audit(drain_s)
            raise
        taken = await self._audit(await self._stop(target))
        if (left := await ledger.remove(self._spec, taken)) is not None:
            self._writer.write(left)

    async def _stop(self, target: TargetProcess) -> float | None:
        self._phase = "stopping"
        task = asyncio.current_task()
        cancelled_twice = task is not None and task.cancelling() > 1
        return await target.stop(at_once=cancelled_twice)

    async def _measure(self, target: TargetProcess) -> None:
        """Apply load and faults until the load is over or the target ends."""
        ended = asyncio.create_task(target.wait_ended())
        work = asyncio.create_task(self._load_and_inject(target))
        full = asyncio.create_task(self._wait_unwritable())
        try:
            await asyncio.wait({ended, work, full}, return_when=asyncio.FIRST_COMPLETED)
            if full.done():
                # What cannot be recorded need not be loaded any further.
                raise MeasurementError(f"the record cannot be written: {self._writer.error}")
            if work.done():
                failed: Exception | None = None
                try:
                    work.result()
                except* HarnessError as group:
                    failed = group.exceptions[0]
                # Not raised inside `except*`: early versions of 3.11 wrap it in a group again.
                if failed is not None:
                    raise failed
            elif self._scenario.load is not None:
                raise TargetError(f"the target ended on its own before the load was over, {ended.result()}")
        finally:
            for task in (work, ended, full):
                task.cancel()
            await asyncio.gather(work, ended, full, return_exceptions=True)

    async def _wait_unwritable(self) -> None:
        """Wait until the runner's record cannot be written, since the disk is full."""
        while not self._writer.error:
            await asyncio.sleep(EVERY_S)

    async def _load_and_inject(self, target: TargetProcess) -> None:
        load = self._scenario.load
        if planned := self._scenario.function_faults:
            self._phase = "finding"
            await faults.find_all(
                planned, seed=self._run.seed, sockets=self._sockets, write=self._writer.write
            )
        async with self._driver(load) as driver:
            await self._load_from(target, driver, monotonic_ns() + round(LEAD_S * 1e9))

    async def _load_from(self, target: TargetProcess, driver: DriverProcess | None, start_ns: int) -> None:
        load = self._scenario.load
        end_ns = sys.maxsize if load is None else start_ns + round(load.lasts_s * 1e9)
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
                for number, fault in enumerate(self._scenario.function_faults)
            ]
            if self._proxies is not None:
                background += [
                    group.create_task(
                        proxies.keep_in_force(
                            toxic,
                            self._proxies,
                            start_ns=start_ns,
                            end_ns=end_ns,
                            seed=self._run.seed + number,
                            write=self._writer.write,
                        )
                    )
                    for number, toxic in enumerate(self._scenario.network_faults)
                ]
            if self._scenario.profile.py_spy_s is not None:
                seconds = self._scenario.profile.py_spy_s
                group.create_task(pyspy.record(target.pid, seconds, self._folder, self._writer.write))
            if load is None or driver is None:
                self._phase = "watching"
                await asyncio.Event().wait()  # until the target ends, or the run is interrupted
            else:
                background.append(group.create_task(self._follow_load_phases(load, start_ns)))
                await self._drive(driver, start_ns)
            for task in background:
                task.cancel()

    async def _follow_load_phases(self, load: AnyLoad, start_ns: int) -> None:
        """Say in which stage the load is; a load without stages is a single one."""
        over_ns = start_ns
        for number, for_s in enumerate([stage.for_s for stage in load.stages] or [load.lasts_s], start=1):
            self._phase = f"loading {number}/{len(load.stages)}" if load.stages else "loading"
            over_ns += round(for_s * 1e9)
            await asyncio.sleep((over_ns - monotonic_ns()) / 1e9)
        self._phase = "draining"

    @contextlib.asynccontextmanager
    async def _driver(self, load: AnyLoad | None) -> AsyncIterator[DriverProcess | None]:
        """The load driver, ready to begin; `None` without load."""
        if load is None:
            yield None
            return
        self._phase = "preparing"
        config = DriverConfig(
            events=str(self._folder.events),
            start_at_ns=0,
            sender=load.sender,
            parameters={**load.parameters(), **self._spec.sender},
            arrival="closed" if load.closed else load.arrival,
            plan=load.plan,
            duration_s=load.lasts_s,
            seed=self._run.seed,
            drain_s=load.drain_s,
            warm_up_s=load.warm_up_s,
            users=load.closed,
            visits=tuple(load.visits()),
            data=load.data_file,
            secrets=redact.known(),
        )
        driver = await DriverProcess.start(config, self._folder.artefacts / "driver.log")
        self._guard.over(driver.pid)
        try:
            await driver.wait_ready()
            yield driver
        finally:
            await driver.end()

    async def _drive(self, driver: DriverProcess, start_ns: int) -> None:
        why = await driver.drive(start_ns)
        if why and seal.is_full(self._folder):
            why = f"no space is left in {self._folder.path}"
        if why:
            # The record has what was sent so far; the report calls such a measurement invalid.
            raise MeasurementError(f"the load driver failed: {why}")

    async def _audit(self, drain_s: float | None) -> LedgerTaken | None:
        taken = await ledger.audit(self._spec, drain_s=drain_s)
        if taken is not None:
            self._writer.write(taken)
        return taken

    @contextlib.asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        """Sample the loops' counters and report the progress until the block ends."""
        progress = ProgressReader(self._folder, self._run.started_ns, for_console=self._console is not None)
        loops = Counters(self._folder)

        async def report() -> None:
            while True:
                for reading in loops.sample():
                    self._writer.write(reading)
                    progress.add_sample(reading)
                self._on_progress(progress.read(self._phase))
                await asyncio.sleep(EVERY_S)

        reporting = asyncio.create_task(report())
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.wait({reporting})
            # An error in `report` must neither end the run early nor go unnoticed.
            if not reporting.cancelled():
                reporting.result()


def _hang_settings(scenario: Scenario) -> HangSettings:
    probe = scenario.probe
    return HangSettings(round(probe.hang_ms * 1e6), round(probe.hang_exit_s * 1e9))


def _profiler_names(scenario: Scenario) -> list[str]:
    profile = scenario.profile
    wanted = {"pyspy": profile.py_spy, "tachyon": profile.tachyon, "strace": profile.strace}
    return [name for name, is_wanted in wanted.items() if is_wanted]


def target_spec(
    scenario: Scenario,
    folder: RunFolder,
    *,
    console: ConsoleConfig | None,
    adapted: Callable[[TargetSpec], TargetSpec] = lambda spec: spec,
) -> TargetSpec:
    """How to run the scenario's target, *adapted* to another revision and environment.

    Raises:
        UsageError: The target cannot be started, or its ports are taken.
    """
    external.check(_profiler_names(scenario))
    if scenario.load is not None:
        preflight.check_sender(scenario.load.sender)
        if scenario.load.sender == "python":
            preflight.check_calls(scenario.load.parameters(), scenario.load.visits())
    member = importlib.import_module(f".targets.{scenario.target.kind}", __package__)
    made = adapted(member.spec(scenario.target, folder))
    preflight.check_program(made.command[0], cwd=made.cwd, env={**os.environ, **made.env})
    external.check_python(_profiler_names(scenario), made.command[0], {**os.environ, **made.env})
    for number, proxy in enumerate(scenario.proxies):
        preflight.check_port(proxy.listen, of=f"proxies.{number}.listen")
    if isinstance(made.ready, ReadyPort):
        preflight.check_port(made.ready.port, of="target.ready.port")
    preflight.check_port(console.port or 0 if console else 0, of="--console-port")
    return made
