"""A console that closes while its program goes on leaves no trace of what was done in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.commanded import wait
from tests.support.consoled import RUNNERS, Client, card_of
from tests.support.process import Piped

PROGRAM = """
    import asyncio, gc, json, logging, signal, sys, threading, time, tracemalloc
    import harness

    log = logging.getLogger("shop")

    def fetch():
        return 1

    own_code = fetch.__code__

    def state():
        loop = asyncio.get_running_loop()
        return {
            "create_task": "create_task" in vars(loop),
            "factory": loop.get_task_factory() is not None,
            "debug": (loop.get_debug(), loop.slow_callback_duration),
            "level": log.level,
            "tracing": tracemalloc.is_tracing(),
            "fetch": fetch.__code__ is own_code,
            "profile": sys.getprofile() is not None,
            "signals": [number for number in range(34, 65) if signal.getsignal(number)],
            "stdout": type(sys.stdout).__name__,
            "tasks": sorted(task.get_name() for task in asyncio.all_tasks()),
            # The program's own pool may grow at any time.
            "threads": sorted({thread.name.partition("_")[0] for thread in threading.enumerate()}),
            "callbacks": len(gc.callbacks),
            "finders": [type(finder).__name__ for finder in sys.meta_path],
        }

    async def main():
        loop = asyncio.get_running_loop()
        line = await loop.run_in_executor(None, sys.stdin.readline)
        before = state()
        print(json.dumps(before), flush=True)
        with harness.open_console(allow=("slow", "chaos", "repl")) as console:
            print("open" if await asyncio.to_thread(console.wait_open) else "not open", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            print(json.dumps(state()), flush=True)
        # The code that was running ends with its cancellation, in one of the next turns.
        patience = time.monotonic() + 20
        while state() != before and time.monotonic() < patience:
            await asyncio.sleep(0.01)
        print(json.dumps(state()), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)

    RUN
"""


@pytest.mark.parametrize("loop", RUNNERS)
def test_the_end_of_the_console_undoes_what_is_in_force(loop: str, tmp_path: Path) -> None:
    """Closing the console undoes levels, debug mode, tracing, faults, a profile and running code."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    (tmp_path / "program.py").write_text(dedent(PROGRAM).replace("RUN", RUNNERS[loop]))
    process = Piped(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        tell(process)
        before = json.loads(process.stdout.readline())
        assert process.stdout.readline() == "open\n"
        card = wait(lambda: card_of(process.pid))
        for line in (
            "log DEBUG shop",
            "debug on --slow-ms 20",
            "faults inject block.sleep --in __main__:fetch --block-ms 1",
            "profile start 60s",
        ):
            with Client.of_card(card) as client:
                answer = client.request(line)
                assert answer["ok"], answer
        # These two are still running; their clients wait for them.
        with Client.of_card(card) as tracing, Client.of_card(card) as waiting:
            tracing.send(json.dumps({"line": "memory --for 60s", "talks": True}) + "\n")
            tracing.wait_for("tracing allocations")
            waiting.send(json.dumps({"line": "repl await asyncio.sleep(60)"}) + "\n")
            with Client.of_card(card) as other:
                wait(lambda: other.request("ps --filter task=harness-repl --json")["answer"]["total"])
            tell(process)
            during = json.loads(process.stdout.readline())
            after = json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()

    assert before == after
    changed = {name for name in before if before[name] != during[name]}
    assert changed >= {"create_task", "debug", "level", "tracing", "fetch", "signals", "stdout", "tasks"}
    assert (during["level"], during["debug"]) == (10, [True, 0.02])


def tell(process: Piped) -> None:
    process.stdin.write("go on\n")
    process.stdin.flush()
