"""Programs that are busy or wait for long, and hold their loop for a short time only."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.healthy.programs.play import play, start, stop, ticks

_TEXT = b"a line of a log that is sent in parts\n" * 2_000


async def a_batch_in_chunks() -> None:
    """A batch job uses all of a processor, in steps of a millisecond."""
    async for _ in ticks(0):
        for _ in range(3):
            hashlib.sha256(_TEXT).digest()


async def work_in_threads() -> None:
    """Calls that wait or compress are in threads, and release the GIL."""
    async for _ in ticks(0.05, 5):
        await asyncio.gather(*(asyncio.to_thread(zlib.compress, _TEXT * 20) for _ in range(2)))
        await asyncio.to_thread(time.sleep, 0.2)


async def work_in_processes() -> None:
    """What computes in Python is in processes."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2) as processes:
        await loop.run_in_executor(processes, sum, range(1_000))
        async for _ in ticks(0.1, 5):
            await asyncio.gather(*(loop.run_in_executor(processes, sum, range(500_000)) for _ in range(2)))
        await asyncio.to_thread(processes.shutdown)


async def an_idle_loop() -> None:
    """Nothing happens between two messages."""
    for _ in range(2):
        await asyncio.sleep(3)


async def many_timers_at_once() -> None:
    """Hundreds of sleepers wake up at the same moment, and each does little."""
    async for _ in ticks(0.2):
        await asyncio.gather(*(asyncio.sleep(0.1) for _ in range(300)))


def loops_with_blocking_calls_between() -> None:
    """A script that calls the loop now and then, and waits outside of it."""

    async def fetch() -> None:
        await asyncio.sleep(0.05)

    for _ in range(8):
        asyncio.run(fetch())
        time.sleep(0.5)


def a_slow_start_and_end() -> None:
    """What is read before the loop begins and written after it has ended holds nobody."""

    async def serve() -> None:
        await asyncio.sleep(2)

    time.sleep(1.5)
    asyncio.run(serve())
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)


async def garbage_in_small_portions() -> None:
    """Cycles are made all the time, few enough for the collector."""
    kept: list[list[Any]] = []
    async for _ in ticks(0.005):
        for _ in range(50):
            one: list[Any] = []
            one.append(one)
            kept.append(one)
        del kept[:-500]


async def requests_beside_a_batch() -> None:
    """Short requests are answered while a batch takes what is left of the processor."""

    async def batch() -> None:
        async for _ in ticks(0):
            hashlib.sha256(_TEXT).digest()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        ended.set()
        writer.close()

    ended = asyncio.Event()
    tasks: set[asyncio.Task[Any]] = set()
    start(tasks, batch())
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    async for _ in ticks(0.02):
        writer.write(b"ping\n")
        await reader.readline()
    writer.close()
    await ended.wait()
    server.close()
    await stop(tasks)


if __name__ == "__main__":
    play(globals())
