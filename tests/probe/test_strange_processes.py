"""Processes in which the probe cannot work run as without it, and say why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.record.event import Blocked, LoopStarted, PartLeftOut
from harness.record.probe_config import ConsoleConfig
from tests.support.pythons import needs_python
from tests.support.watched import watched

# What gevent's `monkey.patch_all` does to the parts that the probe needs.
PATCHED = """
import select, _thread

def start_new_thread(function, *rest):
    raise RuntimeError("a greenlet")

def patch():
    _thread.start_new_thread = start_new_thread
    del select.epoll
"""
LOOP = """
async def main():
    await asyncio.sleep(0.01)
    print("ran", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("order", ["import asyncio\npatch()", "patch()\nimport asyncio"])
def test_a_program_whose_threads_are_greenlets_is_left_alone(order: str, tmp_path: Path) -> None:
    """The mark of the process says who has replaced them, as far as it is known."""
    if order.startswith("patch"):
        order = "import selectors\n" + order
    seen = watched(f"{PATCHED}\n{order}\n{LOOP}", tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran\n", "")
    marks = [path.read_text() for path in seen.folder.processes.iterdir()]
    assert any("unable=other code has replaced Python's threads" in mark for mark in marks)
    assert seen.of(LoopStarted) == []


def test_a_python_without_the_gil_is_left_alone(tmp_path: Path) -> None:
    """There another thread's frames must not be read; its mark says so."""
    seen = watched(f"import asyncio, sys\nsys._is_gil_enabled = lambda: False\n{LOOP}", tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran\n", "")
    marks = [path.read_text() for path in seen.folder.processes.iterdir()]
    assert any("unable=this Python runs without the GIL" in mark for mark in marks)
    assert seen.of(LoopStarted) == []


@pytest.mark.parametrize("version", ["", "3.13"])
def test_a_loop_in_a_subinterpreter_is_left_alone(version: str, tmp_path: Path) -> None:
    """The loop of the main interpreter is watched beside it."""
    python = needs_python(version) if version else sys.executable
    program = f"""
        import asyncio
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        asyncio.run(asyncio.sleep(0.01))
        one = interpreters.create()
        print(interpreters.run_string(one, {"import asyncio" + LOOP!r}), flush=True)
        interpreters.destroy(one)
    """
    seen = watched(program, tmp_path, python=python)
    bare = subprocess.run([python, str(tmp_path / "program.py")], capture_output=True, text=True)

    assert (seen.status, seen.stdout, seen.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert "ran" in seen.stdout
    assert len(seen.of(LoopStarted)) == 1


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_a_block_beside_another_interpreter_is_told_without_its_stack(version: str, tmp_path: Path) -> None:
    """Reading frames would make those of the other one as well, and end the process where it has a GIL."""
    program = """
        import asyncio, threading, time
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        COMPUTE = '''if True:
            import time
            def deep(left):
                return deep(left - 1) if left else 1
            end = time.monotonic() + 0.6
            while time.monotonic() < end:
                deep(50)
        '''

        async def main():
            one = interpreters.create()
            other = threading.Thread(target=interpreters.run_string, args=(one, COMPUTE))
            other.start()
            await asyncio.sleep(0.1)
            time.sleep(0.3)
            other.join()
            interpreters.destroy(one)

        asyncio.run(main())
        print("done")
    """
    seen = watched(program, tmp_path, python=needs_python(version))

    assert (seen.status, seen.stdout, seen.stderr) == (0, "done\n", "")
    # On a busy machine, making the interpreter is a block as well.
    turn = max((turn for turn in seen.of(Blocked) if turn.ended), key=lambda turn: turn.held_ns)
    assert turn.held_ns > 250_000_000
    assert turn.samples == ()
    assert "stacks" in [left_out.part for left_out in seen.of(PartLeftOut)]


@pytest.mark.parametrize("version", ["", "3.12", "3.13"])
def test_a_program_with_small_stacks_for_its_threads_runs_on(version: str, tmp_path: Path) -> None:
    """On one of 32 KiB the probe's own threads would overflow, and end the process."""
    program = """
        import asyncio, sys, threading, time

        threading.stack_size(32 * 1024 if sys.version_info < (3, 14) else 64 * 1024)  # the least

        async def main():
            for _ in range(3):
                time.sleep(0.12)
                await asyncio.sleep(0.15)
            await asyncio.to_thread(print, "ran", flush=True)

        asyncio.run(main())
    """
    python = needs_python(version) if version else sys.executable
    env = {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}  # where the console opens
    seen = watched(
        program, tmp_path, python=python, env=env, console=ConsoleConfig(allow=("cancel",)), sample_hz=100
    )

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran\n", "")
    assert seen.blocks
