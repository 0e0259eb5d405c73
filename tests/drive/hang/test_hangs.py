"""A loop that hangs is told while it hangs, and a process that does not come back leaves all its tasks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.record.event import HungProcessEnded, LoopHung, LoopReturned, LoopStarted, TargetStarted
from tests.support.commanded import COMMAND, Ended, Running, harness, running
from tests.support.process import Piped
from tests.support.recorded import recorded

KINDS = ("sleep", "cpu", "regex", "gil", "lock", "process", "socket", "fifo", "queue", "deadlock")
# Each holds the loop for about S seconds, and most for no processor time.
HANGS = """
import asyncio, ctypes, os, queue, re, socket, subprocess, sys, threading, time
S = float(sys.argv[1])
try:
    os.nice(-15)  # what computes without a processor does not hang
except PermissionError:
    pass

def hang_sleep():
    time.sleep(S)
def hang_cpu():
    end = time.monotonic() + S
    while time.monotonic() < end:
        pass
def hang_regex():
    end, length = time.monotonic() + S, 14
    while time.monotonic() < end:
        re.match("(a+)+$", "a" * length + "b")
def hang_gil():
    ctypes.PyDLL(None).usleep(int(S * 1e6))
def hang_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=S)
def hang_process():
    subprocess.run(["sleep", str(S)])
def hang_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(S)
        try:
            udp.recv(1)  # as a name lookup waits for a server that does not answer
        except TimeoutError:
            pass
def hang_fifo():
    os.mkfifo("fifo")
    threading.Timer(S, lambda: open("fifo", "w").close()).start()
    with open("fifo") as file:
        file.read()
def hang_queue():
    try:
        queue.Queue().get(timeout=S)
    except queue.Empty:
        pass
def hang_deadlock():
    ours, theirs, has_theirs = threading.Lock(), threading.Lock(), threading.Event()
    def other():
        with theirs:
            has_theirs.set()
            ours.acquire(timeout=S)
    with ours:
        threading.Thread(target=other).start()
        has_theirs.wait()
        theirs.acquire()

async def waits():
    await asyncio.Event().wait()

async def main():
    kept = [asyncio.create_task(waits(), name=f"waiter-{n}") for n in range(30)]
    for name in sys.argv[2:]:
        await asyncio.sleep(0.15)
        sys.stderr.write(f"begins {name}\\n")  # in one piece: the runner writes there, too
        globals()[f"hang_{name}"]()
        sys.stderr.write(f"ends {name}\\n")
    await asyncio.sleep(0.15)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A program that hangs in ten ways: what was said on stderr, and its record."""
    folder = tmp_path_factory.mktemp("hung")
    (folder / "program.py").write_text(HANGS)
    ended = harness(
        *("watch", "--hang-ms", "300", "--", sys.executable, "program.py", "0.9", *KINDS), cwd=folder
    )
    assert ended.status == 0, ended.stderr
    return ended.stderr, ended.folder.events


@pytest.mark.parametrize("kind", KINDS)
def test_a_hang_is_told_while_it_lasts(hung: tuple[str, Path], kind: str) -> None:
    """A line on stderr names the place before the code that hangs has returned."""
    _, _, during = hung[0].partition(f"begins {kind}\n")
    during = during.partition(f"ends {kind}\n")[0]

    assert re.search(rf"^hang: loop 0 .* so far at program.py:\d+ hang_{kind} \(", during, re.M), hung[0]


def test_hangs_are_in_the_record_with_their_ends(hung: tuple[str, Path]) -> None:
    """Each is told by an event, by the runner where code holds the GIL, and another one says how it ended."""
    told, over = recorded(hung[1], LoopHung), recorded(hung[1], LoopReturned)

    assert len({event.began_ns for event in told}) >= len(KINDS)
    assert len(over) >= len(KINDS)
    seen_by = {event.seen_by for event in told}
    assert "probe" in seen_by
    assert seen_by & {"profiling.sampling", "py-spy", "kernel"}
    assert hung[0].count("hang over: ") >= len(KINDS)


WELL = """
import asyncio, os, sys, time
async def main():
    print("busy", flush=True)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        time.sleep(0.005)
        await asyncio.sleep(0)
    print("idle", flush=True)
    await asyncio.sleep(1)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb"))
    print("stop me", flush=True)
    await reader.readline()
    os.set_blocking(0, True)
    print("debugger", flush=True)
    breakpoint()
    print("done", flush=True)
asyncio.run(main())
"""


def test_a_busy_idle_stopped_or_debugged_program_does_not_hang(tmp_path: Path) -> None:
    """No line is said of a busy loop, an idle one, a stopped process, and one at a debugger's prompt."""
    (tmp_path / "program.py").write_text(WELL)
    command = [*COMMAND, "watch", "--out", "run", "--hang-ms", "500", "--hang-exit", "1", "--quiet"]
    with Piped(
        [*command, "--", sys.executable, "program.py"],
        cwd=tmp_path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        lines = iter(process.stdout.readline, "")
        assert any("stop me" in line for line in lines)
        (started,) = recorded(tmp_path / "run" / "events", TargetStarted)
        os.kill(started.pid, signal.SIGSTOP)
        # Longer than the limit for the end of the process; nothing runs in it meanwhile.
        assert process.poll() is None
        _wait_s(1.6)
        os.kill(started.pid, signal.SIGCONT)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert any("debugger" in line for line in lines)
        _wait_s(1.6)
        process.stdin.write("continue\n")
        stdout, stderr = process.communicate(timeout=60)

    assert ("done" in stdout, process.returncode) == (True, 0), stderr
    assert "hang" not in stderr
    assert recorded(tmp_path / "run" / "events", LoopHung) == []


def test_a_process_that_does_not_come_back_leaves_its_tasks(tmp_path: Path) -> None:
    """`--hang-exit` ends it by SIGABRT; the report has every task and the stack of every thread."""
    (tmp_path / "program.py").write_text(HANGS)
    ended = harness(
        *("watch", "--hang-exit", "1", "--", sys.executable, "program.py", "60", "lock"), cwd=tmp_path
    )

    assert ended.status == -signal.SIGABRT
    assert "was ended by SIGABRT because its loop 0 had not come back for 1.0 s" in ended.stderr
    (hang,) = ended.report["hangs"]
    assert (hang["end"], hang["function"], hang["exit"]["by"]) == ("killed", "hang_lock", "probe")
    assert hang["exit"]["pending"] == 31
    waiters = {name for group in hang["exit"]["tasks"] for name in group["tasks"] if "waiter" in name}
    assert waiters == {f"waiter-{n}" for n in range(30)}
    assert [thread["thread"] for thread in hang["exit"]["threads"]] == ["MainThread"]
    assert hang["exit"]["threads"][0]["stack"][-1]["function"] == "hang_lock"
    page = (ended.folder.path / "report.html").read_text()
    assert all(text in page for text in ("ended by SIGABRT", "waiter-7", "thread MainThread"))


@pytest.mark.long
def test_a_process_whose_gil_is_held_is_ended_from_outside(tmp_path: Path) -> None:
    """Nothing of it can run, so the runner ends the process by SIGKILL, after what could be seen."""
    (tmp_path / "program.py").write_text(
        HANGS.replace("ctypes.PyDLL(None).usleep(", "sum(range(10**12)) or (")
    )
    ended = harness(
        *("watch", "--hang-exit", "1", "--", sys.executable, "program.py", "60", "gil"), cwd=tmp_path
    )

    assert ended.status == -signal.SIGKILL
    (end,) = recorded(ended.folder.events, HungProcessEnded)
    assert (end.by, end.signal) == ("runner", "SIGKILL")
    # From outside, tasks can be read from Python 3.15 on.
    assert end.pending == (31 if sys.version_info >= (3, 15) else None)
    assert "was ended by SIGKILL" in ended.report["run"]["verdict"]


@pytest.mark.long
def test_a_regular_expression_that_holds_the_gil_leaves_its_tasks(tmp_path: Path) -> None:
    """It handles signals while it matches, so the process can still list its tasks, and ends itself."""
    (tmp_path / "program.py").write_text(HANGS.replace('"a" * length', '"a" * 60'))
    ended = harness(
        *("watch", "--hang-exit", "1", "--", sys.executable, "program.py", "60", "regex"), cwd=tmp_path
    )

    assert ended.status == -signal.SIGABRT
    (end,) = recorded(ended.folder.events, HungProcessEnded)
    assert (end.by, end.pending, end.loop) == ("probe", 31, 0)
    assert end.held_ns >= 0.9e9
    assert [thread.thread for thread in end.threads] == ["MainThread"]
    (hang,) = ended.report["hangs"]
    assert (hang["end"], hang["function"]) == ("killed", "hang_regex")


# Hangs until the test has seen that it was told.
UNTIL_TOLD = """
import asyncio, os, time
def hang():
    while not os.path.exists("told"):
        time.sleep(0.01)
async def main():
    await asyncio.sleep(0.05)
    hang()
    await asyncio.sleep(0.2)
RUN
"""


def _goes_on_when_told(run: Running, folder: Path) -> Ended:
    """Wait until stderr names the hang, let it end, and wait for the end of the command."""
    lines = iter(run.process.stderr.readline, "")
    line = next(line for line in lines if line.startswith("hang: "))
    assert re.search(r"^hang: loop 0 of process \d+ held for .* at program.py:\d+ hang \(call: sleep\)", line)
    (folder / "told").touch()
    assert any(line.startswith("hang over: loop 0 ") for line in lines)
    return run.ended()


def test_a_loop_of_uvloop_is_told_as_well(tmp_path: Path) -> None:
    """uvloop has no selector in Python; its hang is told, too."""
    pytest.importorskip("uvloop")
    (tmp_path / "program.py").write_text(UNTIL_TOLD.replace("RUN", "import uvloop; uvloop.run(main())"))
    with running("watch", "--hang-ms", "300", "--", sys.executable, "program.py", cwd=tmp_path) as run:
        ended = _goes_on_when_told(run, tmp_path)

    (started,) = recorded(ended.folder.events, LoopStarted)
    assert started.kind.startswith("uvloop")
    assert recorded(ended.folder.events, LoopHung)
    assert len(recorded(ended.folder.events, LoopReturned)) == 1


def test_a_run_tells_hangs_above_its_progress(tmp_path: Path) -> None:
    """`harness run` says the same line as `watch`."""
    (tmp_path / "program.py").write_text(UNTIL_TOLD.replace("RUN", "asyncio.run(main())"))
    (tmp_path / "scenario.toml").write_text(
        f'[target]\nkind = "program"\ncommand = ["{sys.executable}", "program.py"]\n[probe]\nhang_ms = 300\n'
    )
    with running("run", "scenario.toml", cwd=tmp_path) as run:
        ended = _goes_on_when_told(run, tmp_path)

    assert [hang["end"] for hang in ended.report["hangs"]] == ["returned"]


def _wait_s(seconds: float) -> None:
    """Let that time pass: what is tested is that nothing happens in it."""
    subprocess.run(["sleep", str(seconds)], check=True)


@pytest.mark.parametrize(("last", "told"), [("pass", "hang over: "), ("os._exit(3)", "ended while its loop")])
def test_a_loop_that_came_back_just_before_the_end_came_back(last: str, told: str, tmp_path: Path) -> None:
    """A program that ends at once after its hang is told from one that ends in the midst of it."""
    program = f"import asyncio, os, time\nasync def main():\n time.sleep(1)\n {last}\nasyncio.run(main())"
    ended = harness("watch", "--hang-ms", "300", "--", sys.executable, "-c", program, cwd=tmp_path)

    words = [line for line in ended.stderr.splitlines() if line.startswith("hang")]
    assert len(words) > 1
    assert told in words[-1]
