"""Where the queues of a program are found."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import deque
from types import SimpleNamespace
from typing import Any
from weakref import ref

from harness.probe.gauges.queues import QueueSearch


async def found(work: Any) -> list[Any]:
    """What a search finds by a task that has begun this work."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    queues = QueueSearch().found([ref(task)], [])
    task.cancel()
    await asyncio.wait([task])
    return queues


async def kept(thing: object) -> object:
    """Waits, with *thing* at hand."""
    await asyncio.get_running_loop().create_future()
    return thing


async def shared(thing: object) -> object:
    """Waits, with *thing* in a variable that a function inside uses, too."""

    def inner() -> object:
        return thing

    await asyncio.get_running_loop().create_future()
    return inner


async def test_a_queue_is_found_at_hand_in_an_object_and_in_a_collection_of_one() -> None:
    """Also where the functions inside of a coroutine share its variables."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    holders = [
        queue,
        SimpleNamespace(queue=queue),
        *(SimpleNamespace(queues=queues) for queues in ([queue], {queue}, {"key": queue})),
    ]

    assert [await found(kept(holder)) for holder in holders] == [[queue]] * len(holders)
    assert [await found(shared(holder)) for holder in holders] == [[queue]] * len(holders)


async def test_a_queue_is_found_beside_large_data_which_is_not_listed() -> None:
    """Of a million items, a list alone would take eight megabytes, and a second of the process's time."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    data = [object() for _ in range(1_000_000)]
    holders = [
        SimpleNamespace(queue=queue, data=part, nested={"data": part}, class_=Table(enumerate(data)))
        for part in (data, dict(enumerate(data)), set(data), deque(data))
    ]
    tracemalloc.start()
    try:
        assert [await found(kept(holder)) for holder in holders] == [[queue]] * len(holders)
        assert await found(kept(data)) == []
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


class Table(dict[int, object]):
    """A large collection of a class of the program."""


async def test_a_queue_with_a_limit_is_not_followed() -> None:
    """It cannot grow; nor is anything found where there is none."""
    assert await found(kept(SimpleNamespace(queues=[asyncio.Queue(3)]))) == []
    assert await found(kept(SimpleNamespace(queues=[object()]))) == []
