"""Programs with many tasks, or with tasks that are cancelled, none of which is lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import anyio._backends._asyncio  # or the first use imports it, on the loop

from tests.healthy.programs.play import play, start, stop, ticks

Tasks = set[asyncio.Task[Any]]


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def a_pool_of_workers() -> None:
    """A hundred workers are started at once, and take jobs."""
    jobs, tasks = asyncio.Queue[int](), Tasks()

    async def work() -> None:
        while True:
            await jobs.get()

    for _ in range(100):
        start(tasks, work())
    async for number in ticks(0.02):
        jobs.put_nowait(number)
    await stop(tasks)


async def connections_that_come_and_stay() -> None:
    """Every client opens a connection, and has a task."""
    handled = Tasks()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handled.add(task)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()[:2]
    writers = [(await asyncio.open_connection(*address))[1] async for _ in ticks(0.05)]
    for writer in writers:
        writer.close()
    server.close()
    await asyncio.gather(*handled)


async def sessions_that_come_and_go() -> None:
    """There are ever more at first, then as many end as begin."""
    tasks = Tasks()

    async def session() -> None:
        await asyncio.sleep(2)

    async for _ in ticks(0.02):
        start(tasks, session())
    await asyncio.gather(*tasks)


async def subscribers_that_get_news() -> None:
    """Clients of one connection subscribe one after the other, and each gets what is published."""
    inboxes: list[asyncio.Queue[int]] = []
    tasks = Tasks()

    async def subscriber() -> None:
        inbox: asyncio.Queue[int] = asyncio.Queue()
        inboxes.append(inbox)
        while True:
            await inbox.get()

    async for number in ticks(0.05):
        if number < 80:
            start(tasks, subscriber())
        for inbox in inboxes:
            inbox.put_nowait(number)
    await stop(tasks)


async def a_warm_up_of_connections() -> None:
    """A pool opens its connections one after the other, and then there are no more."""
    tasks = Tasks()

    async def keep() -> None:
        await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    async for number in ticks(0.01):
        if number < 30:
            start(tasks, keep())
    await stop(tasks)


async def groups_that_are_left() -> None:
    """A task group is cancelled from outside, or ends early by a timeout."""

    async def crowd() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(_for_ever())

    async for _ in ticks(0.1):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await crowd()


async def races_with_a_timeout() -> None:
    """The losers of each race are cancelled, and waited for."""
    async for _ in ticks(0.05):
        tasks = [asyncio.create_task(asyncio.sleep(delay_s)) for delay_s in (0.02, 60, 60)]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)


async def a_clean_up_after_a_cancellation() -> None:
    """A cancelled task says good-bye for half a second."""

    async def session() -> None:
        try:
            await _for_ever()
        finally:
            await asyncio.sleep(0.5)

    tasks = Tasks()
    async for _ in ticks(0.1):
        start(tasks, session())
        if len(tasks) > 10:
            next(iter(tasks)).cancel()
    await stop(tasks)


async def tasks_that_nobody_keeps() -> None:
    """They are short, or the loop itself refers to what they wait for."""
    async for _ in ticks(0.02):
        asyncio.create_task(asyncio.sleep(0.1))  # noqa: RUF006
        asyncio.ensure_future(asyncio.to_thread(len, "")).add_done_callback(lambda _: None)


async def scopes_of_anyio() -> None:
    """Groups and scopes of AnyIO are cancelled all the time."""
    async for _ in ticks(0.05):
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(anyio.sleep_forever)


if __name__ == "__main__":
    play(globals())
