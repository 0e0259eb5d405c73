"""Programs that nobody prepared, for `harness attach` to enter; and what they say of themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.commanded import COMMAND, wait
from tests.support.process import Piped
from tests.support.pythons import find_python

# It executes each line from stdin on its loop, and describes itself: all that an attach changes.
PROGRAM = """
    import asyncio, atexit, ctypes, gc, json, os, signal, sys, threading, time, warnings
    from concurrent.futures import ThreadPoolExecutor

    def hold(seconds):
        time.sleep(seconds)  # holds

    def owned(number):
        try:
            return os.readlink(f"/proc/self/fd/{number}").partition(":")[0]
        except OSError:
            return "gone"

    def functions():
        return [id(function) for function in (
            asyncio.events._set_running_loop, asyncio.BaseEventLoop.call_exception_handler,
            asyncio.TaskGroup._on_task_done, asyncio.Handle._run, warnings._warn_unawaited_coroutine,
            os.fork, os._exit, os.kill, signal.signal,
        )]

    def fork():
        with warnings.catch_warnings(action="ignore"):  # of the program's own pool
            if not (pid := os.fork()):
                print(json.dumps([functions(), len(os.listdir("/proc/self/fd"))]), flush=True)
                os._exit(0)
        os.waitpid(pid, 0)

    def state():
        loop = asyncio.get_running_loop()
        # Those are gone at once, also where garbage has not been collected.
        descriptors = sorted(map(owned, os.listdir("/proc/self/fd")))
        gc.collect()
        return {
            "functions": functions(),
            "loop": sorted(vars(loop)) if hasattr(loop, "__dict__") else [],
            "selector": sorted(vars(loop._selector)) if hasattr(loop, "_selector") else [],
            "threads": len(os.listdir("/proc/self/task")),
            "known": sorted(thread.name for thread in threading.enumerate()),
            "signals": [str(signal.getsignal(number)) for number in range(1, 65)],
            "descriptors": descriptors,
            "modules": [name for name in sys.modules if "harness" in name],
            "finders": [repr(finder) for finder in sys.meta_path],
            "paths": [path for path in sys.path_importer_cache if "harness" in path],
            "objects": sorted({str(type(each).__module__) for each in gc.get_objects()
                               if "harness" in str(type(each).__module__)}),
            "collector": (len(gc.callbacks), gc.isenabled(), gc.get_threshold()),
            "at exit": atexit._ncallbacks(),
            "interval": sys.getswitchinterval(),
            "filters": len(warnings.filters),
            "tracing": (sys.gettrace() is None, sys.getprofile() is None),
        }

    async def main():
        loop = asyncio.get_running_loop()
        # A pool that cannot grow.
        loop.set_default_executor(ThreadPoolExecutor(1))
        await loop.run_in_executor(None, time.sleep, 0)
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line, globals())

    RUN
"""
WAYS = {
    "asyncio": "asyncio.run(main())",
    # The main thread waits for a lock, in which Python looks for nothing.
    "thread": "thread = threading.Thread(target=asyncio.run, args=(main(),)); thread.start(); thread.join()",
    "uvloop": "import uvloop; uvloop.run(main())",
    "uvloop in a thread": (
        "import uvloop; loop = uvloop.new_event_loop(); loop.create_task(main());"
        "thread = threading.Thread(target=loop.run_forever); thread.start();"
        "[time.sleep(0.1) for _ in range(100000) if thread.is_alive()]"
    ),
}


def enterable_python() -> str:
    """An interpreter that can be entered: this one, or another; the test is skipped where there is none."""
    if sys.version_info >= (3, 14):
        return sys.executable
    python = find_python("3.14") or find_python("3.15")
    if python is None:
        pytest.skip("no Python 3.14 on this machine")
    return python


@dataclass
class Unprepared:
    """A running program without a probe."""

    process: Piped
    lines: list[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def do(self, statement: str) -> None:
        """Execute a statement on the program's loop; returns at once."""
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()

    def state(self) -> dict[str, Any]:
        """The program's own description."""
        self.do("print(json.dumps(state()), flush=True)")
        described: dict[str, Any] = json.loads(self.process.stdout.readline())
        return described

    def becomes(self, before: dict[str, Any]) -> bool:
        """Whether the description becomes as it was *before*, at once or soon."""
        with suppress(TimeoutError):
            return wait(lambda: self.state() == before)
        after = self.state()
        changed = {name: (before[name], after[name]) for name in after if after[name] != before[name]}
        assert not changed, changed
        return True

    def line_of(self, mark: str) -> int:
        """The number of the line with that comment."""
        return next(number for number, line in enumerate(self.lines, 1) if f"# {mark}" in line)


@contextmanager
def unprepared(
    tmp_path: Path,
    *,
    way: str = "asyncio",
    program: str = PROGRAM,
    options: tuple[str, ...] = (),
    within: tuple[str, ...] = (),
    python: str = "",
    environ: dict[str, str] | None = None,
) -> Iterator[Unprepared]:
    """Start the program; it has printed "ready" and runs its loop."""
    python = python or enterable_python()
    if "uvloop" in way and subprocess.run([python, "-c", "import uvloop"], capture_output=True).returncode:
        pytest.skip("uvloop is not installed")
    script = tmp_path / "program.py"
    script.write_text(dedent(program).replace("RUN", WAYS[way]))
    process = Piped(
        [*within, python, *options, str(script)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), **(environ or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield Unprepared(process, script.read_text().splitlines())
    finally:
        process.kill()
        process.communicate()


class Attached:
    """`harness attach PID` with a pipe at its stdin."""

    def __init__(self, pid: int, *options: str, cwd: Path) -> None:
        self.process = Piped(
            [*COMMAND, "attach", str(pid), *options],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> Any:
        """The JSON answer of a command, which must ask for that."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.process.communicate()
        return json.loads(answer)

    def leave(self) -> tuple[int, str]:
        """End its input: the status, and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def attach(pid: int, *options: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `harness attach PID` to its end."""
    command = [*COMMAND, "attach", str(pid), *map(str, options)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, input="")


def remnants(tmp_path: Path) -> list[str]:
    """What is left of control folders and sockets in the program's temporary folder."""
    return [
        str(path.relative_to(tmp_path))
        for path in tmp_path.glob("asyncio-harness*/**/*")
        if "asyncio-harness-attach" in str(path) or path.suffix == ".sock"
    ] + [path.name for path in tmp_path.glob("asyncio-harness-attach*")]


def needs_setpriv() -> None:
    """Skip the test where root cannot give its rights away."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
