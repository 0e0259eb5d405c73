"""Programs whose tasks wait for long or stand in line, as they should."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import anyio._backends._asyncio  # or the first use imports it, on the loop
from aiohttp import web

from tests.healthy.programs.play import play, start, stop, ticks

Tasks = set[asyncio.Task[Any]]


async def a_pool_of_connections() -> None:
    """Twenty clients share four connections, as in asyncpg's pool; each gets one soon."""

    class _Pool:
        def __init__(self) -> None:
            self._free: asyncio.LifoQueue[int] = asyncio.LifoQueue()
            for number in range(4):
                self._free.put_nowait(number)

        @asynccontextmanager
        async def acquire(self) -> AsyncIterator[int]:
            connection = await self._free.get()
            try:
                yield connection
            finally:
                self._free.put_nowait(connection)

    pool, tasks = _Pool(), Tasks()

    async def client() -> None:
        while True:
            async with pool.acquire():
                await asyncio.sleep(0.1)

    async for number in ticks():
        if number < 20:
            start(tasks, client())
    await stop(tasks)


async def a_pool_with_a_queue_of_clients() -> None:
    """Clients wait in a deque of futures, as in psycopg's pool, for one or two seconds."""

    class _Pool:
        def __init__(self, size: int) -> None:
            self._free, self._waiting = size, deque[asyncio.Future[None]]()

        async def getconn(self) -> None:
            if self._free:
                self._free -= 1
                return
            self._waiting.append(turn := asyncio.get_running_loop().create_future())
            await turn

        def putconn(self) -> None:
            if self._waiting:
                self._waiting.popleft().set_result(None)
            else:
                self._free += 1

    pool, tasks = _Pool(5), Tasks()

    async def client() -> None:
        await pool.getconn()
        try:
            await asyncio.sleep(1)
        finally:
            pool.putconn()

    async for number in ticks(0.25, 5):
        start(tasks, client())
        if number < 5:
            start(tasks, client())
    await asyncio.gather(*tasks)


async def requests_behind_a_connector() -> None:
    """aiohttp's connector lets two connections to a host, and the others wait a little."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:

        async def client() -> None:
            async for _ in ticks(0.01, 5):
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    await response.text()

        await asyncio.gather(*(client() for _ in range(8)))
    await runner.cleanup()


async def websockets_that_idle() -> None:
    """Connections come all the time, and nobody sends anything to them."""
    tasks = Tasks()

    async def connection() -> None:
        await asyncio.Queue[str]().get()

    async for _ in ticks():
        start(tasks, connection())
        if len(tasks) > 15:
            tasks.pop().cancel()
    await stop(tasks)


async def long_polls_for_news() -> None:
    """Clients wait for one event of the program, some of them until they give up."""
    changed, tasks = asyncio.Event(), Tasks()

    async def poll() -> None:
        try:
            await asyncio.wait_for(changed.wait(), 5)
        except TimeoutError:
            return

    async for _ in ticks(0.2):
        start(tasks, poll())
    await stop(tasks)


async def customers_that_wait_for_goods() -> None:
    """They are told when an article is available, which may take a day."""

    class _Article:
        def __init__(self) -> None:
            self._arrived = asyncio.Event()

        async def wait_until_available(self) -> None:
            await self._arrived.wait()

    article, tasks = _Article(), Tasks()

    async def customer() -> None:
        await article.wait_until_available()

    async for _ in ticks(0.2):
        start(tasks, customer())
    await stop(tasks)


async def printers_of_a_spooler() -> None:
    """Printers are added one by one, and there is nothing to print."""

    class _Spooler:
        def __init__(self) -> None:
            self._jobs: asyncio.Queue[str] = asyncio.Queue()

        async def next_job(self) -> str:
            return await self._jobs.get()

    spooler, tasks = _Spooler(), Tasks()

    async def printer() -> None:
        while True:
            await spooler.next_job()

    async for number in ticks(0.3):
        if number < 10:
            start(tasks, printer())
    await stop(tasks)


async def views_of_a_pool() -> None:
    """Dashboards follow what a pool says of itself, which is nothing while it is well."""

    class _PoolMonitor:
        def __init__(self) -> None:
            self._changed = asyncio.Condition()

        async def next_change(self) -> None:
            async with self._changed:
                await self._changed.wait()

    monitor, tasks = _PoolMonitor(), Tasks()

    async def dashboard() -> None:
        while True:
            await monitor.next_change()

    async for _ in ticks(0.3):
        start(tasks, dashboard())
    await stop(tasks)


async def candidates_for_a_leader() -> None:
    """One of five leads as long as it lives, and the others stand by."""
    leadership, tasks = asyncio.Lock(), Tasks()

    async def candidate() -> None:
        async with leadership:
            await asyncio.Event().wait()

    for _ in range(5):
        start(tasks, candidate())
    async for _ in ticks():
        pass
    await stop(tasks)


async def a_slow_consumer() -> None:
    """Producers wait for room in a queue, from which a batch is taken every two seconds."""
    orders, tasks = asyncio.Queue[int](5), Tasks()

    async def produce() -> None:
        while True:
            await orders.put(1)

    async def consume() -> None:
        while True:
            for _ in range(5):
                await orders.get()
            await asyncio.sleep(2)

    start(tasks, consume())
    async for number in ticks(0.2, 8):
        if number < 10:
            start(tasks, produce())
    await stop(tasks)


async def a_rate_limiter() -> None:
    """A lock is kept for as long as the next request may not begin."""
    pace, tasks = asyncio.Lock(), Tasks()

    async def request() -> None:
        async with pace:
            await asyncio.sleep(1)

    async for _ in ticks(0.3):
        start(tasks, request())
    await stop(tasks)


async def a_barrier_for_late_ones() -> None:
    """Parties come one after the other, and go on when the last one is there."""
    barrier, tasks = asyncio.Barrier(12), Tasks()

    async def party() -> None:
        await barrier.wait()

    for _ in range(12):
        start(tasks, party())
        await asyncio.sleep(0.45)
    await asyncio.gather(*tasks)


async def limiters_of_anyio() -> None:
    """Semaphores and limiters of AnyIO let one task in after the other."""
    semaphore, limiter = anyio.Semaphore(2), anyio.CapacityLimiter(2)

    async def work() -> None:
        async with semaphore:
            await anyio.sleep(0.2)
        async with limiter:
            await anyio.sleep(0.2)

    async with anyio.create_task_group() as group:
        async for _ in ticks(0.12, 5):
            group.start_soon(work)


async def one_load_for_all() -> None:
    """A cache is warmed up by one request while the others wait, for two seconds."""
    loading, tasks, loaded = asyncio.Lock(), Tasks(), list[int]()

    async def request() -> None:
        async with loading:
            if not loaded:
                await asyncio.sleep(2)
                loaded.append(1)

    async for _ in ticks(0.2):
        start(tasks, request())
    await asyncio.gather(*tasks)


async def a_flush_of_slow_jobs() -> None:
    """A queue is empty and not done: each job has a task of its own, which says so when it ends."""
    tasks = Tasks()

    class _Jobs:
        def __init__(self) -> None:
            self._queue: asyncio.Queue[int] = asyncio.Queue()

        def put(self, number: int) -> None:
            self._queue.put_nowait(number)

        async def distribute(self) -> None:
            while True:
                await self._queue.get()
                start(tasks, self._work())

        async def _work(self) -> None:
            await asyncio.sleep(5)
            self._done()

        def _done(self) -> None:
            self._queue.task_done()

        async def flush(self) -> None:
            await self._queue.join()

    jobs = _Jobs()
    start(tasks, jobs.distribute())
    for number in range(3):
        jobs.put(number)
    await jobs.flush()
    await stop(tasks)


async def a_queue_as_a_gate() -> None:
    """A queue with a limit lets two in at a time, and each takes its item out when it leaves."""
    gate, tasks = asyncio.Queue[None](2), Tasks()

    async def visitor() -> None:
        await gate.put(None)
        await asyncio.sleep(1.5)
        gate.get_nowait()

    async for number in ticks(0.3):
        if number < 8:
            start(tasks, visitor())
    await asyncio.gather(*tasks)


async def a_meter_that_is_read_on_a_timer() -> None:
    """What writes waits for room, until a timer has taken what is there."""
    readings, loop = asyncio.Queue[int](5), asyncio.get_running_loop()
    tasks = Tasks()

    def read() -> None:
        while not readings.empty():
            readings.get_nowait()
        timers.append(loop.call_later(2.5, read))

    async def write() -> None:
        while True:
            await readings.put(1)

    timers = [loop.call_later(2.5, read)]
    start(tasks, write())
    async for _ in ticks():
        pass
    timers[-1].cancel()
    await stop(tasks)


if __name__ == "__main__":
    play(globals())
