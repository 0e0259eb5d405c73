"""What a loop of uvloop does at this moment, by libuv's metrics."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from harness.probe.hooks.state.libuv import LibuvLoop
from harness.probe.loop.libuv_clock import LibuvClock

MS = 1_000_000


def test_a_turn_that_nobody_has_looked_at_began_when_the_loop_woke_up() -> None:
    """Not when the last turn began that was looked at; while the loop waits there is none."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> list[int]:
        loop, began_ns = asyncio.get_running_loop(), time.monotonic_ns()
        libuv = LibuvLoop.of(loop)
        assert libuv is not None
        clock = LibuvClock(libuv, began_ns, None)
        told = [clock.peek() - began_ns]
        peeked = threading.Event()

        def peek_from_outside() -> None:
            told.append(clock.peek())
            peeked.set()

        threading.Timer(0.05, peek_from_outside).start()
        await asyncio.sleep(0.15)
        told.append(clock.peek() - began_ns)
        assert peeked.wait(20)
        return told

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        same, waiting, later = runner.run(main())

    assert same == 0
    assert waiting == 0
    assert later > 140 * MS
