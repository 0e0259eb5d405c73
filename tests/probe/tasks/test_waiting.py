"""What tasks wait for, and who is inside of a lock, as the coroutines of waiting tasks show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.probe.tasks.waiting import awaited, held

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


async def nap() -> None:
    await asyncio.sleep(60)


async def by_name(task: asyncio.Task[None]) -> None:
    await task


async def by_gather(*tasks: asyncio.Task[None]) -> None:
    await asyncio.gather(*tasks)


async def by_shield(*tasks: asyncio.Task[None]) -> None:
    waiting = asyncio.shield(tasks[0])
    del tasks  # so that nothing but the shield itself leads to the task
    await waiting


async def by_wait(*tasks: asyncio.Task[None]) -> None:
    await asyncio.wait(tasks)


async def by_wait_for(*tasks: asyncio.Task[None]) -> None:
    await asyncio.wait_for(tasks[0], 60)


@pytest.mark.parametrize(
    ("way", "count"), [(by_name, 1), (by_gather, 2), (by_shield, 1), (by_wait, 2), (by_wait_for, 1)]
)
async def test_the_tasks_that_a_task_waits_for_are_known(way: Any, count: int) -> None:
    """However it waits for them; not one that has ended, nor one that it only knows."""
    known, over = asyncio.create_task(nap()), asyncio.create_task(asyncio.sleep(0))
    await over
    tasks = [asyncio.create_task(nap()) for _ in range(count)]
    one = asyncio.create_task(way(*tasks, *[over] * (count > 1)))
    for _ in range(3):
        await asyncio.sleep(0)
    found = set(awaited(one))
    for task in (one, known, *tasks):
        task.cancel()
    await asyncio.wait([one, known, *tasks])

    assert found == set(tasks)
