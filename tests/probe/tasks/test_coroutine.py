"""Where tasks wait, whatever their coroutines are made of."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest

from harness.probe.tasks import coroutine
from harness.probe.tasks.coroutine import Place


class Later:
    """What Python calls to await it is a generator."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.Event().wait().__await__()


@types.coroutine
def old(*, later: bool) -> Generator[Any, None, None]:
    if later:
        yield from asyncio.get_running_loop().create_future()
    yield from asyncio.get_running_loop().create_future()


async def items() -> AsyncIterator[None]:
    await asyncio.get_running_loop().create_future()
    yield


async def by_an_object() -> None:
    await Later()


async def by_a_generator(*, later: bool = False) -> None:
    await old(later=later)


async def by_an_iterator() -> None:
    async for _ in items():
        pass


async def plainly() -> None:
    await asyncio.get_running_loop().create_future()


async def places(*makes: Callable[[], Awaitable[None]]) -> list[Place]:
    """Where a task of each waits."""
    tasks = [asyncio.ensure_future(make()) for make in makes]
    await asyncio.sleep(0)
    found = [coroutine.place_of(task.get_coro()) for task in tasks]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


@pytest.mark.parametrize("make", [by_an_object, by_a_generator, by_an_iterator, plainly])
async def test_tasks_that_wait_at_the_same_line_have_the_same_place(
    make: Callable[[], Awaitable[None]],
) -> None:
    """Also behind a generator, or what an asynchronous one returns; others have another one."""
    one, same, *others = await places(make, make, by_an_object, by_a_generator, by_an_iterator, plainly)

    assert one == same
    assert others.count(one) == 1


async def test_tasks_that_wait_at_other_lines_of_a_generator_have_other_places() -> None:
    """Their coroutine is the same, and where that waits."""
    first, second = await places(by_a_generator, lambda: by_a_generator(later=True))

    assert first != second
    assert first[:2] == second[:2]
