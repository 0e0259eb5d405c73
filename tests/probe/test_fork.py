"""What a forked child holds of its parent's probe: nothing, as if it were a child of the bare program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.record.event import Blocked, ProbeFailed
from harness.record.probe_config import ConsoleConfig
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.watched import Asked, watched

ALL: Asked = {"calls": True, "origins": True, "cprofile": True, "sample_hz": 100, "waits": 1.0}

PROGRAM = """
    import asyncio, gc, json, multiprocessing, os, re, signal, sys
    from concurrent.futures import thread as executors

    def held():
        files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                 if os.path.islink(f"/proc/self/fd/{fd}")]
        loop = asyncio._get_running_loop()
        return {
            # libffi, under ctypes, keeps its own file open in some builds, and needs it.
            "files": sorted(re.sub(r"[0-9]+", "N", file) for file in files if "libffi" not in file),
            "pages": sum("/loops/" in line for line in open("/proc/self/maps")),
            "threads": len(os.listdir("/proc/self/task")),
            "timers": open("/proc/self/timers").read().count("ID:"),
            "signals": [int(number) for number in signal.valid_signals()
                        if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN)],
            "collector": len(gc.callbacks),
            "profiler": sys.getprofile() is not None,
            "origins": sys.get_coroutine_origin_tracking_depth(),
            "steps": asyncio.Handle._run.__module__,
            "work": executors._WorkItem.__module__,
            "selector": type(loop._selector).__module__ if loop is not None else None,
            "tasks": "create_task" in vars(loop) if loop is not None else None,
        }

    def send(pipe):
        pipe.send(held())

    def fork():
        ours, theirs = multiprocessing.Pipe(False)
        if (pid := os.fork()) == 0:
            ours.close()
            theirs.send(held())
            os._exit(0)
        theirs.close()
        print(json.dumps(ours.recv()))
        os.waitpid(pid, 0)

    def start(method):
        context = multiprocessing.get_context(method)
        ours, theirs = context.Pipe(False)
        process = context.Process(target=send, args=(theirs,))
        process.start()
        theirs.close()
        print(json.dumps(ours.recv()))
        process.join()

    async def main():
        await asyncio.sleep(0.5)  # by then a console is open
        HOW

    if __name__ == "__main__":
        asyncio.run(main())
"""
HOW = {
    "fork": "fork()",
    "fork in another thread": "await asyncio.to_thread(fork)",
    "multiprocessing, fork": "start('fork')",
    "multiprocessing, forkserver": "start('forkserver')",
}


@pytest.mark.parametrize("how", HOW)
def test_a_forked_child_holds_what_it_would_hold_without_the_probe(how: str, tmp_path: Path) -> None:
    """Its files, mapped pages, threads, timers, signal handlers and hooks are those of a bare child."""
    program = PROGRAM.replace("HOW", HOW[how])
    script = tmp_path / "bare.py"
    script.write_text(dedent(program))
    bare = subprocess.run([sys.executable, script], input="", capture_output=True, text=True, check=True)
    (tmp_path / "control").mkdir(mode=0o700)
    asked: Asked = {**ALL, "control": str(tmp_path / "control"), "console": ConsoleConfig()}
    seen = watched(program, tmp_path, **asked)

    assert seen.said == json.loads(bare.stdout)
    assert seen.of(ProbeFailed) == []


def test_nothing_answers_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    """While a child lives on, its parent's control socket refuses callers instead of letting them wait."""
    (tmp_path / "control").mkdir(mode=0o700)
    program = f"""
        import asyncio, glob, json, os, socket, sys, time

        async def main():
            [path] = glob.glob({str(tmp_path / "control")!r} + "/*.sock")
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(path)
            time.sleep(0.2)  # the probe's thread has accepted it, and waits for a request
            ours, theirs = os.pipe()
            if os.fork() == 0:
                os.close(theirs)
                os.read(ours, 1)  # until the parent is gone
                caller.settimeout(5)
                said = {{"open": caller.recv(1).decode()}}
                deadline = time.monotonic() + 5  # the kernel closes what the parent had open, one by one
                while "new" not in said and time.monotonic() < deadline:
                    try:
                        socket.socket(socket.AF_UNIX).connect(path)
                    except ConnectionRefusedError:
                        said["new"] = "refused"
                print(json.dumps(said))
                sys.stdout.flush()
            os._exit(0)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path, control=str(tmp_path / "control"))

    assert seen.said == {"open": "", "new": "refused"}


FORKS = """
    import asyncio, json, os, threading, warnings

    def fork():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            filters = len(warnings.filters)
            if (pid := os.fork()) == 0:
                os._exit(len(warnings.filters) - filters)
            left = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(warnings.filters) - filters
        return [len(caught), *left]

    async def main():
        await asyncio.sleep(0.01)
        alone, end = fork(), threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        beside = fork()
        end.set()
        thread.join()
        print(json.dumps([alone, beside]))

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", SUPPORTED[1:])
def test_a_fork_warns_of_the_programs_threads_and_not_of_the_probes(version: str, tmp_path: Path) -> None:
    """As Python does since 3.12 without the probe; neither process keeps the filter that hides a warning."""
    done = watched(dedent(FORKS), tmp_path, python=needs_python(version), **ALL)

    assert done.said == [[0, 0, 0], [1, 0, 0]]
    assert done.of(ProbeFailed) == []


def test_a_child_forked_while_the_probe_looks_at_threads_has_none_of_its_files(tmp_path: Path) -> None:
    """Beside a late loop the probe reads what the kernel shows of its threads, while another thread forks."""
    program = """
        import asyncio, json, os, threading, time

        left = []

        def fork(until):
            while time.monotonic() < until:
                ours, theirs = os.pipe()
                if os.fork() == 0:
                    files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                             if os.path.islink(f"/proc/self/fd/{fd}")]
                    os.write(theirs, json.dumps([f for f in files if "/task/" in f]).encode())
                    os._exit(0)
                os.close(theirs)
                left.extend(json.loads(os.read(ours, 4096)))
                os.close(ours)
                os.wait()

        async def main():
            thread = threading.Thread(target=fork, args=(time.monotonic() + 1.5,))
            thread.start()
            thread.join()

        asyncio.run(main())
        print(json.dumps(left))
    """
    seen = watched(program, tmp_path)

    assert len(seen.of(Blocked)) >= 1
    assert seen.said == []
