"""libuv's metrics of a loop of uvloop."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest


def test_a_loop_that_was_closed_unseen_keeps_its_last_reading() -> None:
    """libuv has freed the metrics: reading them would end the process."""
    pytest.importorskip("uvloop")
    program = """
        import asyncio, gc, uvloop
        from harness.probe.hooks.state.libuv import LibuvLoop

        async def main():
            libuv = LibuvLoop.of(asyncio.get_running_loop())
            await asyncio.sleep(0.02)
            return libuv, libuv.read()

        loop = uvloop.new_event_loop()
        libuv, last = loop.run_until_complete(main())
        loop.close()
        del loop
        gc.collect()
        spoiled = [bytearray(b"x" * size) for size in range(100, 2000, 10) for _ in range(20)]
        assert 1 <= last.turns < 10 and last.idle_ns > 10_000_000, last
        assert libuv.read() == last._replace(is_waiting=True), libuv.read()
        assert libuv.due_ns() == 0
        print("read")
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")
