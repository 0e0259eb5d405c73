"""Process hosts and SDK hosts are started, health-checked, killed and restarted, and never left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from harness.mayhem.errors import HostUnavailableError
from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts import process as process_module
from harness.mayhem.hosts import sdk as sdk_module
from harness.mayhem.hosts.latency import Fixed
from harness.mayhem.hosts.process import ProcessHost
from harness.mayhem.hosts.sdk import SdkHost
from harness.mayhem.process.thread_pool import ThreadPool

PATIENCE_S = 30
# Writes its process id to a file, and then runs the rest.
TELLING = "import os, signal, socket, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()}\\n')\n"
LISTENING = "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
NEVER_READY = "time.sleep(600)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENING + "time.sleep(600)"
MUTE = LISTENING + "time.sleep(600)"

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


def kill(pid: int | None, signum: signal.Signals) -> None:
    """Send the signal to a host that runs."""
    assert pid is not None
    os.kill(pid, signum)


def program(tmp_path: Path, code: str) -> tuple[tuple[str, ...], Path]:
    """Make another program for a host; return its command and the file with its process id."""
    told = tmp_path / "pid"
    return (sys.executable, "-I", "-S", "-c", TELLING + code, str(told)), told


def run(loop_factory: LoopFactory, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run the coroutine on a loop of that kind, in debug mode and with a time limit."""

    async def bounded() -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await coroutine

    with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
        return runner.run(bounded())


def wait_until(condition: Callable[..., Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def told_pid(told: Path) -> int:
    while not (told.exists() and told.read_text().endswith("\n")):
        await asyncio.sleep(0.005)
    return int(told.read_text())


def exists(pid: int) -> bool:
    """Whether the process exists, including zombies."""
    return Path(f"/proc/{pid}").exists()


def state(pid: int) -> str:
    """The process's state: T for stopped, Z for a zombie, X if it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def runs(pid: int) -> bool:
    return state(pid) not in "ZX"


def children() -> set[str]:
    """The pids of all children of this process, including zombies."""
    files = Path("/proc/self/task").glob("*/children")
    return {pid for file in files for pid in file.read_text().split()}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def unhealthy(host: ProcessHost) -> str:
    try:
        await host.health()
    except HostUnavailableError as exc:
        return str(exc)
    return ""


@LOOPS
def test_host_runs_while_the_block_does(loop_factory: LoopFactory) -> None:
    """A host answers on its own socket; after the block, its process has been reaped."""

    async def live() -> int:
        async with ProcessHost("web-1") as host:
            await host.health()
            pid = host.pid
            assert pid
            assert runs(pid)
        assert host.pid is None
        assert (await unhealthy(host)).startswith("web-1: no answer: ConnectionRefusedError")
        return pid

    assert not exists(run(loop_factory, live()))


@LOOPS
def test_restart_is_a_new_process(loop_factory: LoopFactory) -> None:
    """After a restart, the old process is gone and the new one answers at once."""

    async def restart() -> tuple[int, int]:
        async with ProcessHost("web-1") as host:
            old = host.pid
            await host.restart()
            await host.health()
            assert old
            assert host.pid
            assert runs(host.pid)
            return old, host.pid

    old, new = run(loop_factory, restart())
    assert old != new
    assert not exists(old)
    assert not exists(new)


@LOOPS
def test_killed_host_is_found_unhealthy_and_brought_back(
    loop_factory: LoopFactory,
) -> None:
    """A killed host is reported unhealthy, and a restart brings it back."""

    async def killed() -> tuple[str, str]:
        async with ProcessHost("web-1") as host:
            kill(host.pid, signal.SIGKILL)
            while host.pid is not None:
                await asyncio.sleep(0.005)
            complaint = await unhealthy(host)
            await host.restart()
            return complaint, await unhealthy(host)

    complaint, afterwards = run(loop_factory, killed())
    assert complaint.startswith("web-1: no answer")
    assert afterwards == ""


@LOOPS
@pytest.mark.parametrize("how", ["ignores", "stopped"])
def test_host_that_does_not_end_is_killed_after_a_grace(
    how: str,
    loop_factory: LoopFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that ignores SIGTERM or is stopped is killed."""
    monkeypatch.setattr(process_module, "GRACE_S", 0.2)
    command, told = program(tmp_path, STUBBORN if how == "ignores" else MUTE)

    async def end() -> tuple[int, float]:
        async with ProcessHost("web-1", command) as host:
            pid = await told_pid(told)
            if how == "stopped":
                os.kill(pid, signal.SIGSTOP)
                while state(pid) != "T":
                    await asyncio.sleep(0.005)
            assert host.pid == pid
            began = time.monotonic()
        return pid, time.monotonic() - began

    pid, took_s = run(loop_factory, end())
    assert not exists(pid)
    assert took_s >= 0.2


@LOOPS
def test_slow_host_has_the_grace_to_end_by_itself(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """Control: a process that ends on SIGTERM is not killed, and can clean up first."""
    command, told = program(
        tmp_path,
        "def bye(*_): open(sys.argv[1] + '.bye', 'w'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, bye)\n" + MUTE,
    )

    async def end() -> int:
        async with ProcessHost("web-1", command):
            return await told_pid(told)

    assert not exists(run(loop_factory, end()))
    assert (tmp_path / "pid.bye").exists()


@LOOPS
def test_host_that_breaks_at_its_start_says_why(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """The error has the last line of the program's output, and no process is left."""
    command, told = program(tmp_path, "raise SystemExit('no more licences')")

    async def start() -> tuple[str, int]:
        with pytest.raises(HostUnavailableError) as error:
            async with ProcessHost("web-1", command):
                pass
        return str(error.value), await told_pid(told)

    complaint, pid = run(loop_factory, start())
    assert complaint == "web-1: ended at its start: 'no more licences'"
    assert not exists(pid)


@LOOPS
def test_host_that_cannot_be_started_is_unavailable(
    loop_factory: LoopFactory,
) -> None:
    """The error has the system's message."""

    async def start() -> None:
        with pytest.raises(HostUnavailableError, match=r"web-1: could not be started: .*No such file"):
            async with ProcessHost("web-1", ("/no/such/program",)):
                pass

    run(loop_factory, start())


@LOOPS
def test_start_is_bounded(
    loop_factory: LoopFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that never announces its port is given up and ended."""
    monkeypatch.setattr(process_module, "START_S", 0.5)
    command, told = program(tmp_path, NEVER_READY)

    async def start() -> int:
        with pytest.raises(HostUnavailableError, match=r"web-1: not ready within 0\.5 s"):
            async with ProcessHost("web-1", command):
                pass
        return await told_pid(told)

    assert not exists(run(loop_factory, start()))


@LOOPS
@pytest.mark.parametrize("when", ["at once", "while it starts"])
def test_cancelled_start_leaves_nothing(when: str, loop_factory: LoopFactory, tmp_path: Path) -> None:
    """A cancelled start ends the process and re-raises the cancellation."""
    command, told = program(tmp_path, NEVER_READY)

    async def first_process() -> None:
        await (await asyncio.create_subprocess_exec(sys.executable, "-c", "")).wait()

    # libuv opens a pipe for its signals with the first process, and keeps it.
    run(loop_factory, first_process())
    before, others = descriptors(), children()

    async def cancel() -> int | None:
        starting = asyncio.create_task(ProcessHost("web-1", command).restart())
        if when == "at once":
            await asyncio.sleep(0)
            pid = None
        else:
            pid = await told_pid(told)
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()
        return pid

    pid = run(loop_factory, cancel())
    assert pid is None or not exists(pid)
    assert descriptors() == before
    assert children() <= others


@LOOPS
def test_cancelled_end_kills_at_once(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """A cancelled end does not wait for the grace period, and the process is gone."""
    command, told = program(tmp_path, STUBBORN)

    async def cancel() -> int:
        host = ProcessHost("web-1", command)
        await host.__aenter__()
        ending = asyncio.create_task(host.__aexit__(None, None, None))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait({ending})
        assert ending.cancelled()
        return await told_pid(told)

    assert not exists(run(loop_factory, cancel()))


@pytest.mark.parametrize(
    ("loop_factory", "restarts"),
    [pytest.param(asyncio.new_event_loop, 200, marks=pytest.mark.long), (uvloop.new_event_loop, 20)],
)
def test_restarts_leave_neither_descriptors_nor_zombies(loop_factory: LoopFactory, restarts: int) -> None:
    """Repeated restarts leak neither descriptors nor children."""

    others = children()

    async def restart() -> tuple[int, int, set[str], set[str]]:
        async with ProcessHost("web-1") as host:
            await host.restart()
            await host.health()
            before = descriptors()
            for _ in range(restarts):
                await host.restart()
                await host.health()
            await asyncio.sleep(0)  # the last connection is closed by now
            return before, descriptors(), children() - others, {str(host.pid)}

    before, after, left, own = run(loop_factory, restart())
    assert after <= before
    assert left == own


SERVICE = """
import asyncio, os, signal, sys
from harness.mayhem.hosts.process import ProcessHost
async def main():
    async with ProcessHost("web-1") as host:
        await host.health()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: print("interrupted", flush=True))
        print(host.pid, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await host.health()
        print("healthy", flush=True)
asyncio.run(main())
"""


def service() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVICE]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, start_new_session=True, stdin=pipe, stdout=pipe)


def test_host_ends_with_a_killed_service() -> None:
    """The hosts of a killed service notice it and end."""
    with service() as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.kill()

    wait_until(lambda: not runs(pid))


def test_host_survives_the_interrupt_of_a_terminal() -> None:
    """Ctrl-C does not reach the hosts, only the service, which ends them."""
    with service() as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        assert process.stdin is not None
        process.stdin.write("\n")
        assert process.stdin is not None
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == "healthy\n"
        assert process.wait(PATIENCE_S) == 0

    assert not exists(pid)


def test_hosts_of_process_1_are_waited_for(tmp_path: Path) -> None:
    """As process 1 of a container, the same code restarts its hosts and leaves no zombies."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    script = tmp_path / "first.py"
    script.write_text(
        textwrap.dedent("""
            import asyncio, os
            from pathlib import Path
            from harness.mayhem.hosts.process import ProcessHost

            async def main():
                async with ProcessHost("web-1") as host:
                    for _ in range(5):
                        await host.restart()
                        await host.health()
                    alive = sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
                    assert alive == [1, host.pid], alive
                print(os.getpid(), [entry.name for entry in Path("/proc").glob("[0-9]*")])

            asyncio.run(main())
        """)
    )
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    ended = subprocess.run(
        ["unshare", *user, "--pid", "--fork", "--mount-proc", sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if ended.returncode and "unshare" in ended.stderr:
        pytest.skip(f"unshare is not permitted here: {ended.stderr.strip()}")

    assert (ended.stdout, ended.stderr) == ("1 ['1']\n", "")


@LOOPS
def test_sdk_blocks_a_thread_and_not_the_loop(
    loop_factory: LoopFactory,
) -> None:
    """While the library blocks in a thread, the loop keeps running."""
    called_in = []

    class TellingClient(sdk_module.MachineClient):
        def restart(self, takes_s: float) -> None:
            called_in.append(threading.current_thread())
            super().restart(takes_s)

    async def restart() -> int:
        async with ThreadPool(1) as threads, SdkHost("db-1", threads, Fixed(0.3), seed=1) as host:
            restarting = asyncio.create_task(host.restart())
            turns = 0
            while not restarting.done():
                await asyncio.sleep(0.001)
                turns += 1
            await restarting
            await threads.run(host.check_health)
        return turns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk_module, "MachineClient", TellingClient)
        turns = run(loop_factory, restart())

    assert turns > 20
    assert threading.main_thread() not in called_in


async def test_restart_by_an_sdk_never_meets_one_that_was_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of a cancelled restart goes on, and the next restart waits for it."""
    calls = []
    entered, door = threading.Event(), threading.Event()

    class TellingClient(sdk_module.MachineClient):
        def restart(self, takes_s: float) -> None:
            calls.append("in")
            entered.set()
            door.wait(PATIENCE_S)
            calls.append("out")

    monkeypatch.setattr(sdk_module, "MachineClient", TellingClient)
    async with ThreadPool(2) as threads, SdkHost("db-1", threads, Fixed(0), seed=1) as host:
        cancelled = asyncio.create_task(host.restart())
        await asyncio.to_thread(entered.wait, PATIENCE_S)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        again = asyncio.create_task(host.restart())
        while threads.busy < 2:
            await asyncio.sleep(0.005)
        door.set()
        async with asyncio.timeout(PATIENCE_S):
            await again

    assert calls == ["in", "out", "in", "out"]


async def test_sdk_errors_are_the_hosts() -> None:
    """The library's errors are raised as the service's."""
    async with ThreadPool(1) as threads:
        async with SdkHost("db-1", threads, Fixed(0.001), seed=1) as host:
            await host.restart()
        with pytest.raises(HostUnavailableError, match=r"db-1: not healthy: .*refused"):
            await threads.run(host.check_health)


async def test_sdk_call_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that accepts and never answers occupies a thread for the time-out only."""
    monkeypatch.setattr(sdk_module, "TIMEOUT_S", 0.1)
    command, _ = program(tmp_path, MUTE)
    async with ThreadPool(1) as threads:
        async with SdkHost("db-1", threads, Fixed(0.001), seed=1, program=command) as host:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(HostUnavailableError, match="db-1: not restarted: timed out"):
                    await host.restart()


async def test_killed_machine_behind_an_sdk_is_back_after_a_restart(tmp_path: Path) -> None:
    """A killed machine is started again by a restart."""
    async with ThreadPool(1) as threads, SdkHost("db-1", threads, Fixed(0.001), seed=1) as host:
        kill(host.pid, signal.SIGKILL)
        while host.pid is not None:
            await asyncio.sleep(0.005)
        with pytest.raises(HostUnavailableError):
            await threads.run(host.check_health)
        await host.restart()
        await threads.run(host.check_health)


async def test_duplicates_of_a_restart_do_no_harm() -> None:
    """Concurrent restarts run one after the other, and the host is healthy afterwards."""
    made = {}

    def make(name: str) -> ProcessHost:
        made[name] = ProcessHost(name)
        return made[name]

    async with ThreadPool(1) as threads, Fleet(make, threads, names=["web-1"]) as fleet:
        first = made["web-1"].pid
        assert first
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(fleet.restart("web-1") for _ in range(3)))
        assert fleet.restarts("web-1") == 3
        assert not exists(first)
        await made["web-1"].health()
    assert made["web-1"].pid is None
