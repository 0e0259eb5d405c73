"""The thread pool is bounded, reports its queue, and copes with cancelled callers."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.mayhem.process.thread_pool import ThreadPool

PATIENCE_S = 20

greeting = contextvars.ContextVar("greeting", default="none")


@pytest.fixture
def door() -> Iterator[threading.Event]:
    """An event for blocking threads, which is set even if the test fails."""
    door = threading.Event()
    yield door
    door.set()


async def until(condition: Callable[..., Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def test_call_sees_the_context_of_its_caller() -> None:
    """A call has a copy of the caller's context, with the current span."""

    def call() -> tuple[str, Any]:
        seen = greeting.get()
        greeting.set("changed")
        return seen, threading.current_thread()

    async with ThreadPool(1) as threads:
        greeting.set("hello")
        seen, thread = await threads.run(call)

    assert (seen, greeting.get()) == ("hello", "hello")
    assert thread is not threading.main_thread()


async def test_calls_beyond_the_limit_wait_and_are_counted(door: threading.Event) -> None:
    """Calls beyond the number of threads wait, and the waiting time is known."""
    async with ThreadPool(2) as threads:
        calls = [asyncio.create_task(threads.run(door.wait, PATIENCE_S)) for _ in range(5)]
        await until(lambda: threads.busy == 2)
        await until(lambda: threads.oldest_wait_s > 0.01)
        counted = (threads.busy, threads.waiting)
        door.set()
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.gather(*calls) == [True] * 5
        await until(lambda: threads.busy == 0)

        assert counted == (2, 3)
        assert (threads.waiting, threads.oldest_wait_s) == (0, 0.0)


async def test_call_cancelled_in_the_queue_is_never_made(door: threading.Event) -> None:
    """A call cancelled in the queue is removed at once."""
    made: list[Any] = []
    async with ThreadPool(1) as threads:
        first = asyncio.create_task(threads.run(door.wait, PATIENCE_S))
        await until(lambda: threads.busy == 1)
        second = asyncio.create_task(threads.run(made.append, "second"))
        await until(lambda: threads.waiting == 1)
        second.cancel()
        await asyncio.wait({second})
        assert second.cancelled()
        assert threads.waiting == 0
        door.set()
        await first
        await threads.run(made.append, "third")

    assert made == ["third"]


async def test_call_cancelled_in_its_thread_keeps_the_thread_busy(door: threading.Event) -> None:
    """The thread of a cancelled call counts as busy until the call returns."""
    async with ThreadPool(1) as threads:
        call = asyncio.create_task(threads.run(door.wait, PATIENCE_S))
        await until(lambda: threads.busy == 1)
        call.cancel()
        await asyncio.wait({call})
        assert (call.cancelled(), threads.busy) == (True, 1)
        door.set()
        await until(lambda: threads.busy == 0)


async def test_error_that_nobody_waits_for_any_more_is_reported() -> None:
    """An exception after the cancellation goes to the loop's exception handler, in the call's context."""
    told: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.put_nowait((context["exception"], greeting.get())))
    door = threading.Event()

    def call() -> None:
        door.wait(PATIENCE_S)
        raise ZeroDivisionError("too late")

    async with ThreadPool(1) as threads:
        greeting.set("hello")
        waiting = asyncio.create_task(threads.run(call))
        await until(lambda: threads.busy == 1)
        greeting.set("somebody else's")
        waiting.cancel()
        await asyncio.wait({waiting})
        door.set()
        async with asyncio.timeout(PATIENCE_S):
            error, greeted = await told.get()

    assert (waiting.cancelled(), str(error), greeted) == (True, "too late", "hello")
    assert told.empty()


async def test_error_of_a_call_is_the_callers() -> None:
    """An exception in a thread is raised where the call is awaited, and frees the thread."""
    async with ThreadPool(1) as threads:
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 / 0)
        await until(lambda: threads.busy == 0)

        assert await threads.run(int, "7") == 7


async def test_end_does_not_wait_for_a_call_that_hangs(door: threading.Event) -> None:
    """A call that never returns does not prevent the exit."""
    async with asyncio.timeout(PATIENCE_S):
        async with ThreadPool(1) as threads:
            call = asyncio.create_task(threads.run(door.wait))
            await until(lambda: threads.busy == 1)
            call.cancel()

    assert not door.is_set()
