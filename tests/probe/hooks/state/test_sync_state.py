"""The private attributes of asyncio's queues and locks are where `sync_state` reads them, on this Python."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from harness.probe.hooks.state import sync_state


async def started(*coroutines: Coroutine[Any, Any, object]) -> list[asyncio.Task[Any]]:
    """A task for each coroutine, all of which have run up to their first wait."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    return tasks


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_queue_shows_its_items_and_its_waiters() -> None:
    """Items, capacity, unfinished items, and a future for each task that waits to get or to put."""
    empty: asyncio.Queue[int] = asyncio.Queue()
    full: asyncio.LifoQueue[int] = asyncio.LifoQueue(2)
    full.put_nowait(1)
    full.put_nowait(2)
    tasks = await started(empty.get(), empty.get(), full.put(3))

    assert (len(sync_state.getters(empty)), len(sync_state.putters(empty))) == (2, 0)
    assert (len(sync_state.getters(full)), len(sync_state.putters(full))) == (0, 1)
    assert [sync_state.size(queue) for queue in (empty, full)] == [0, 2]
    assert [sync_state.capacity(queue) for queue in (empty, full)] == [0, 2]
    assert [sync_state.unfinished(queue) for queue in (empty, full)] == [0, 2]
    await cancel(tasks)


async def test_locks_show_their_waiters() -> None:
    """A future for each task that waits for a lock, semaphore, event or condition; none before."""
    lock, semaphore, event, condition = (
        asyncio.Lock(),
        asyncio.Semaphore(1),
        asyncio.Event(),
        asyncio.Condition(),
    )
    every = (lock, semaphore, event, condition)
    assert [len(sync_state.waiters(each)) for each in every] == [0, 0, 0, 0]
    assert sync_state.permits(semaphore) == 1
    await lock.acquire()
    await semaphore.acquire()

    async def wait_notified() -> None:
        async with condition:
            await condition.wait()

    tasks = await started(lock.acquire(), semaphore.acquire(), event.wait(), wait_notified())

    assert [len(sync_state.waiters(each)) for each in every] == [1, 1, 1, 1]
    assert sync_state.permits(semaphore) == 0
    assert sync_state.lock_of(lock) is None
    assert isinstance(sync_state.lock_of(condition), asyncio.Lock)
    await cancel(tasks)


def test_only_a_bounded_semaphore_of_one_has_one_permit() -> None:
    """A plain semaphore may be released more often than it was acquired."""
    assert sync_state.has_one_permit(asyncio.BoundedSemaphore(1))
    assert not sync_state.has_one_permit(asyncio.BoundedSemaphore(2))
    assert not sync_state.has_one_permit(asyncio.Semaphore(1))


def test_an_object_without_these_attributes_has_nothing() -> None:
    """A class of the program's own may implement the interface differently."""
    foreign = object()

    assert (sync_state.waiters(foreign), sync_state.getters(foreign), sync_state.putters(foreign)) == (
        (),
        (),
        (),
    )
    assert (sync_state.size(foreign), sync_state.capacity(foreign), sync_state.unfinished(foreign)) == (
        0,
        0,
        0,
    )
    assert (sync_state.permits(foreign), sync_state.lock_of(foreign)) == (0, None)
