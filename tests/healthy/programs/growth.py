"""Programs whose memory, queues and buffers rise, and level off or drain."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Any

from tests.healthy.programs.play import play, start, stop, ticks

Tasks = set[asyncio.Task[Any]]
_MEGABYTE = 1_000_000


async def a_cache_that_fills() -> None:
    """A cache has room for a hundred pages, and drops the oldest."""
    pages: OrderedDict[int, bytearray] = OrderedDict()
    async for number in ticks(0.02, 14):
        pages[number] = bytearray(_MEGABYTE)
        if len(pages) > 100:
            pages.popitem(last=False)


async def a_cache_that_has_not_filled_yet() -> None:
    """A service keeps pages, and would drop the oldest beyond ten thousand."""
    pages: OrderedDict[int, bytes] = OrderedDict()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async for number in ticks(0.01, 13):
        pages[number] = bytes(_MEGABYTE // 8)
        if len(pages) > 10_000:
            pages.popitem(last=False)
    server.close()


async def results_that_are_gathered() -> None:
    """A job keeps all that it has found until it ends."""
    results: dict[int, bytes] = {}
    async for number in ticks(0.005, 13):
        results[number] = bytes(_MEGABYTE // 16)
    assert results


async def a_model_that_is_loaded() -> None:
    """A model takes its memory at the start, in parts, and stays."""
    parts = [bytearray(8 * _MEGABYTE) async for _ in ticks(0.1, 2.5)]
    async for _ in ticks(0.1, 9):
        pass
    assert parts


async def batches_that_are_freed() -> None:
    """Each batch takes memory step by step, and gives it back."""
    async for _ in ticks(0.1, 12):
        rows = []
        for _ in range(10):
            rows.append(bytearray(10 * _MEGABYTE))
            await asyncio.sleep(0.1)
        rows.clear()


async def a_burst_in_a_queue() -> None:
    """Two thousand jobs come at once, and one worker takes them."""
    jobs, tasks = asyncio.Queue[int](), Tasks()

    async def work() -> None:
        while True:
            await jobs.get()
            await asyncio.sleep(0.001)

    start(tasks, work())
    for number in range(2_000):
        jobs.put_nowait(number)
    async for _ in ticks():
        pass
    await stop(tasks)


async def a_backlog_that_stays() -> None:
    """A queue without a limit has some hundred items at any time: those who put wait for the answers."""
    jobs, tasks = asyncio.Queue[asyncio.Future[None]](), Tasks()

    async def ask() -> None:
        while True:
            jobs.put_nowait(answer := asyncio.get_running_loop().create_future())
            await answer

    async def work() -> None:
        while True:
            answer = await jobs.get()
            await asyncio.sleep(0.002)
            if not answer.done():
                answer.set_result(None)

    start(tasks, work())
    for _ in range(300):
        start(tasks, ask())
    async for _ in ticks():
        pass
    await stop(tasks)


async def a_queue_of_free_connections() -> None:
    """A pool comes up in a second, and hardly anybody needs it."""
    free: asyncio.Queue[int] = asyncio.Queue()
    async for number in ticks(0.005):
        if free.qsize() < 250:
            free.put_nowait(number)


async def rising_and_falling() -> None:
    """A queue fills for a second and is empty after the next."""
    jobs: asyncio.Queue[int] = asyncio.Queue()
    async for number in ticks(0.01):
        if number % 200 < 100:
            for _ in range(5):
                jobs.put_nowait(number)
        else:
            for _ in range(min(6, jobs.qsize())):
                jobs.get_nowait()


async def a_history_of_fixed_length() -> None:
    """The newest readings are kept."""
    history: deque[dict[str, int]] = deque(maxlen=5_000)
    async for number in ticks(0.002):
        history.extend({"reading": number} for _ in range(10))


async def an_upload_to_a_slow_peer() -> None:
    """The writer waits until its peer has read."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await asyncio.sleep(0.005)
        ended.set()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    async for _ in ticks(0):
        writer.write(bytes(_MEGABYTE))
        await writer.drain()
    writer.close()
    await ended.wait()
    server.close()


async def a_large_answer_at_once() -> None:
    """Each answer is written in one go, and read by its client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(bytes(4 * _MEGABYTE))
            await writer.drain()
        ended.set()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    async for _ in ticks(0.2):
        writer.write(b"next\n")
        await reader.readexactly(4 * _MEGABYTE)
    writer.close()
    await ended.wait()
    server.close()


if __name__ == "__main__":
    play(globals())
