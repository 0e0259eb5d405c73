"""Who is inside of a lock, as the coroutines of waiting tasks show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.probe.tasks.waiting import held

Lock = asyncio.Lock | asyncio.Condition | asyncio.Semaphore


async def inside(lock: Lock) -> None:
    async with lock:
        await asyncio.sleep(60)


async def twice(lock: Lock) -> None:
    async with lock:
        await inside(lock)


async def waiting_in(condition: asyncio.Condition) -> None:
    async with condition:
        await condition.wait()


@asynccontextmanager
async def opened(lock: Lock) -> AsyncIterator[None]:
    async with lock:
        yield


async def by_a_generator(lock: Lock) -> None:
    async with opened(lock):
        await asyncio.sleep(60)


async def held_by(work: Coroutine[Any, Any, None]) -> list[Lock]:
    """The locks of a task that does *work*, once it waits."""
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    found = list(held(task))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return found


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Condition, asyncio.Semaphore])
async def test_a_task_holds_what_it_is_inside_of(kind: type[Lock]) -> None:
    """Also by way of a context manager that a generator makes."""
    lock = kind()

    assert await held_by(inside(lock)) == [lock]
    assert await held_by(by_a_generator(lock)) == [lock]


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Condition])
async def test_a_task_that_waits_to_enter_holds_nothing(kind: type[Lock]) -> None:
    """Unless it is inside already: then it holds the lock once."""
    lock = kind()

    assert await held_by(twice(lock)) == [lock]
    async with lock:
        assert await held_by(inside(lock)) == []


async def test_a_task_that_waits_for_a_condition_has_released_it() -> None:
    """While it waits to be notified, others are inside."""
    assert await held_by(waiting_in(asyncio.Condition())) == []
