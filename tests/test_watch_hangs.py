"""`harness.watch_loop` tells of a loop that hangs while it does, and ends a process if asked to."""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import subprocess
import sys
import threading
from textwrap import dedent

import pytest

import harness
from harness.read.blocks.live_hang import LiveHang


def hold(until: threading.Event) -> None:
    until.wait(20)


HOLD_LINE = hold.__code__.co_firstlineno + 1


def test_a_hang_is_told_while_it_lasts_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """The callback and the log name the place and the task; here it is the callback that ends the hang."""
    told: list[LiveHang] = []
    goes_on = threading.Event()

    def on_hang(hang: LiveHang) -> None:
        told.append(hang)
        if hang.told >= 2:  # it was told again
            goes_on.set()

    async def main() -> None:
        asyncio.current_task().set_name("holder")  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
        hold(goes_on)

    with caplog.at_level(logging.INFO, "harness"), harness.watch_loop(hang_ms=150, on_hang=on_hang):
        asyncio.run(main())

    assert goes_on.is_set()
    assert [hang.returned for hang in told] == [*[False] * (len(told) - 1), True]
    assert told[0].held_s >= 0.15
    assert told[1].held_s >= 0.3
    assert all(hang.place.endswith(f"test_watch_hangs.py:{HOLD_LINE} hold") for hang in told)
    assert {hang.task for hang in told} == {"holder"}
    assert any(frame.function == "hold" for frame in told[0].stack)
    first = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert "held for" in first.getMessage()
    assert vars(first)["code.function.name"] == "hold"
    assert vars(first)["code.line.number"] == HOLD_LINE


def test_a_block_is_not_yet_a_hang() -> None:
    """What ends sooner is a block alone, and an idle loop is none of both."""
    told: list[LiveHang] = []

    async def main() -> None:
        hold_for = threading.Event()
        threading.Timer(0.2, hold_for.set).start()
        hold(hold_for)
        await asyncio.sleep(0.2)

    with harness.watch_loop(hang_ms=5_000, on_hang=told.append) as watch:
        asyncio.run(main())

    assert told == []
    assert any(block.function == "hold" for block in watch.blocks)


def test_a_callback_of_blocks_that_waits_for_the_loop_delays_no_notice() -> None:
    """`on_block` and `on_hang` have threads of their own."""
    loop = asyncio.new_event_loop()
    told: queue.SimpleQueue[LiveHang] = queue.SimpleQueue()
    goes_on = threading.Event()

    def wait_for_the_loop(_: object) -> None:
        loop.call_soon_threadsafe(int)
        goes_on.wait(20)

    async def main() -> None:
        blocked = threading.Event()
        threading.Timer(0.15, blocked.set).start()
        hold(blocked)
        await asyncio.sleep(0.01)
        hold(goes_on)

    def set_when_told(hang: LiveHang) -> None:
        told.put(hang)
        goes_on.set()

    with harness.watch_loop(on_block=wait_for_the_loop, hang_ms=400, on_hang=set_when_told):
        loop.run_until_complete(main())
    loop.close()

    assert told.get(timeout=20).block.function == "hold"


@pytest.mark.parametrize("wrong", [{"hang_ms": -1}, {"hang_exit_s": float("nan")}])
def test_a_time_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    """The error names the argument and what came."""
    name, value = next(iter(wrong.items()))

    with pytest.raises(ValueError, match=f"{name} must be finite and at least 0, got {value!r}"):
        harness.watch_loop(**wrong)  # type: ignore[arg-type]


def test_a_process_that_does_not_come_back_prints_its_tasks_and_ends() -> None:
    """By SIGABRT, after tasks and threads have been written to stderr, and the callback was called."""
    program = """
        import asyncio, harness, threading
        async def waits():
            await asyncio.Event().wait()
        async def main():
            kept = [asyncio.create_task(waits(), name=f"waiter-{n}") for n in range(5)]
            await asyncio.sleep(0.05)
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        def on_hang(hang):
            print(hang.ends_process, hang.block.line, flush=True)
        with harness.watch_loop(hang_ms=0, on_hang=on_hang, hang_exit_s=0.4):
            asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == -signal.SIGABRT
    assert ended.stdout == "True 10\n"
    assert "has not come back for 0.4 s; the process is ended" in ended.stderr
    assert "5 x waits at <string>:4: waiter-0, waiter-1, waiter-2, waiter-3, waiter-4" in ended.stderr
    assert "thread MainThread:" in ended.stderr
