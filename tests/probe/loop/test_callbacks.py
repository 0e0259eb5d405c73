"""A loop held by callbacks: many short ones are told from a long one, by how many were seen to run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from harness import watch_loop


def busy(for_s: float) -> None:
    end = time.thread_time() + for_s
    while time.thread_time() < end:
        pass


def short() -> None:
    busy(0.0001)


def long() -> None:
    busy(0.2)


async def start(*callbacks: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.02)
    for callback in callbacks:
        loop.call_soon(callback)
    await asyncio.sleep(0.02)


def test_many_short_callbacks_are_named_with_their_number() -> None:
    """No single one of them lasted long, so the block is that they are many; the queue tells how many."""
    with watch_loop(50) as watch:
        asyncio.run(start(*[short] * 2_500))

    block = max(watch.blocks, key=lambda block: block.held_ms)  # a full machine may make more of them
    assert (block.cause, block.function) == ("many", "busy")
    assert block.culprits[0].share > 0.9
    assert 500 < block.culprits[0].queued <= 2_500


def test_one_long_callback_before_many_of_its_kind_is_no_crowd() -> None:
    """The one that ran is the block, however many stand in the queue."""
    with watch_loop(50) as watch:
        asyncio.run(start(long, *[short] * 100))

    block = max(watch.blocks, key=lambda block: block.held_ms)  # on a full machine there may be another
    assert (block.cause, block.function) == ("cpu", "busy")
    assert block.culprits == ()


def test_two_long_callbacks_in_one_turn_are_two_blocks() -> None:
    """Also when they are the same function, on the same line."""
    with watch_loop(50) as watch:
        asyncio.run(start(long, long))

    assert [(block.cause, block.function) for block in watch.blocks] == [("cpu", "busy")] * 2
    assert all(block.held_ms > 150 for block in watch.blocks)
