"""Programs whose pools of threads are full or have a queue, and serve their calls."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio
import anyio._backends._asyncio  # or the first use imports it, on the loop
import anyio.to_thread

from tests.healthy.programs.play import play, ticks


def _query() -> None:
    time.sleep(0.02)


def _report() -> None:
    time.sleep(0.4)


def _export() -> None:
    time.sleep(2)


async def short_calls_that_keep_it_full() -> None:
    """There are always more calls than threads, and none waits for long."""
    loop = asyncio.get_running_loop()

    async def client(pool: ThreadPoolExecutor) -> None:
        async for _ in ticks(0):
            await loop.run_in_executor(pool, _query)

    with ThreadPoolExecutor(4, "db") as pool:
        await asyncio.gather(*(client(pool) for _ in range(16)))


async def reports_among_short_calls() -> None:
    """Slow reports take some of the threads, and the others go on with short calls."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(6))

    async def client(function: Callable[[], None]) -> None:
        async for _ in ticks(0.05):
            await loop.run_in_executor(None, function)

    await asyncio.gather(*(client(_report) for _ in range(3)), *(client(_query) for _ in range(12)))


async def long_work_for_which_nobody_waits() -> None:
    """All threads are at long work, and the next begins when one ends."""
    loop = asyncio.get_running_loop()

    async def lane(pool: ThreadPoolExecutor) -> None:
        for _ in range(3):
            await loop.run_in_executor(pool, _export)

    with ThreadPoolExecutor(3, "exports") as pool:
        await asyncio.gather(*(lane(pool) for _ in range(3)))


async def a_limit_of_its_own() -> None:
    """A semaphore lets no more calls in than there are threads."""
    limit = asyncio.Semaphore(4)
    loop = asyncio.get_running_loop()

    async def item(pool: ThreadPoolExecutor) -> None:
        async with limit:
            await loop.run_in_executor(pool, _report)

    with ThreadPoolExecutor(4, "items") as pool:
        await asyncio.gather(*(item(pool) for _ in range(40)))


async def names_looked_up_beside_files() -> None:
    """The default executor reads files and looks up names, all of them quickly."""
    loop = asyncio.get_running_loop()

    async def client() -> None:
        async for _ in ticks(0.05):
            await loop.getaddrinfo("127.0.0.1", 80)
            await asyncio.to_thread(_query)

    await asyncio.gather(*(client() for _ in range(20)))


async def a_thread_with_a_queue() -> None:
    """An adapter of a blocking database serves one short call after the other."""
    calls: queue.SimpleQueue[tuple[asyncio.Future[None], Callable[[], None]] | None] = queue.SimpleQueue()
    loop = asyncio.get_running_loop()

    def serve() -> None:
        while (call := calls.get()) is not None:
            future, function = call
            function()
            loop.call_soon_threadsafe(future.set_result, None)

    async def client() -> None:
        async for _ in ticks(0.01):
            future = loop.create_future()
            calls.put((future, _query))
            await future

    threading.Thread(target=serve, name="database", args=()).start()
    await asyncio.gather(*(client() for _ in range(10)))
    calls.put(None)


async def plain_functions_of_anyio() -> None:
    """More requests than AnyIO has tokens, whose plain functions are short."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 5

    async def client() -> None:
        async for _ in ticks(0):
            await anyio.to_thread.run_sync(_query)

    await asyncio.gather(*(client() for _ in range(30)))


async def a_limiter_around_coroutines() -> None:
    """A capacity limiter of AnyIO bounds requests to a host; no thread is at work for them."""
    limiter = anyio.CapacityLimiter(4)

    async def fetch() -> None:
        async with limiter:
            await anyio.sleep(0.3)

    await asyncio.gather(*(fetch() for _ in range(60)))


async def a_burst_that_is_worked_off() -> None:
    """Hundreds of calls come at once, and are served one after the other."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4, "thumbnails") as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, _query) for _ in range(800)))


async def a_slow_batch_of_two_kinds() -> None:
    """A batch of long and short work fills the pool at its start, on purpose."""
    loop = asyncio.get_running_loop()
    works: list[Callable[[], None]] = [partial(time.sleep, 0.9), _report, _query] * 8
    with ThreadPoolExecutor(4, "batch") as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, work) for work in works))


async def work_that_is_drained_at_the_end() -> None:
    """The last calls are waited for before the pool goes."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(2, "writes")
    waiting = [loop.run_in_executor(pool, _report) async for _ in ticks(0.3, 4)]
    await asyncio.gather(*waiting)
    await asyncio.to_thread(pool.shutdown)


if __name__ == "__main__":
    play(globals())
