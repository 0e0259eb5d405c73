"""Programs that keep a loop busy in short turns, and get on with something."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import random
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from tests.healthy.programs.play import play, start, stop, ticks


async def a_back_off_loop() -> None:
    """A client tries again, at first soon and then later and later."""
    delay_s = 0.0005
    async for _ in ticks(0):
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 1.5, 0.5)


async def a_batch_of_rows() -> None:
    """A batch job takes one row after the other, and lets the others run after each."""
    digest = hashlib.sha256()
    rows = iter(str(number).encode() for number in range(10**9))
    async for _ in ticks(0):
        digest.update(next(rows))


async def a_simulation() -> None:
    """Events of a simulated time follow each other; as many are to come as before."""
    chance = random.Random(1)
    events = [(chance.random(), number) for number in range(100)]
    heapq.heapify(events)
    async for _ in ticks(0):
        at_s, number = heapq.heappop(events)
        heapq.heappush(events, (at_s + chance.random(), number))


async def a_frequent_timer() -> None:
    """Sixty or a thousand times per second something is polled."""
    async for _ in ticks(0.001):
        pass


async def two_that_wake_each_other() -> None:
    """A ball goes to and fro."""
    courts = [asyncio.Event(), asyncio.Event()]
    hits = 0

    async def play_on(mine: asyncio.Event, theirs: asyncio.Event) -> None:
        nonlocal hits
        while True:
            await mine.wait()
            mine.clear()
            hits += 1
            theirs.set()

    tasks: set[asyncio.Task[Any]] = set()
    start(tasks, play_on(courts[0], courts[1]))
    start(tasks, play_on(courts[1], courts[0]))
    courts[0].set()
    async for _ in ticks():
        pass
    await stop(tasks)


async def a_fast_stream() -> None:
    """A copier reads from a peer that always has more."""
    near, far = socket.socketpair()

    def feed() -> None:
        try:
            while True:
                far.sendall(b"x" * 256)
        except OSError:
            return

    threading.Thread(target=feed, daemon=True).start()
    reader, writer = await asyncio.open_connection(sock=near)
    copied = 0
    async for _ in ticks(0):
        copied += len(await reader.read(256))
    writer.close()
    far.close()


async def stages_of_generators() -> None:
    """Asynchronous generators hand items on, each of which lets the others run."""

    async def numbers() -> AsyncIterator[int]:
        async for number in ticks(0):
            yield number

    async def strings() -> AsyncIterator[str]:
        async for number in numbers():
            await asyncio.sleep(0)
            yield f"{number:x}"

    last = ""
    async for last in strings():  # noqa: B007
        pass


async def a_window_that_slides() -> None:
    """The newest hundred readings are kept, so their number stays."""
    window: deque[float] = deque(maxlen=100)
    chance, highest = random.Random(1), [0.0]
    async for _ in ticks(0):
        window.append(chance.random())
        highest[0] = max(highest[0], max(window))


if __name__ == "__main__":
    play(globals())
