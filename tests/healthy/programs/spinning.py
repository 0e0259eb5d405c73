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

from tests.healthy.programs.play import LASTS_S, play, start, stop, ticks


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


async def points_of_a_fractal() -> None:
    """A point is iterated once in each turn, until it is known whether it gets away."""
    width, number, at, rounds = 200, 0, 0j, 0
    image = bytearray(width * width)
    async for _ in ticks(0):
        at = at * at + complex(number % width / width * 3 - 2, number // width / width * 3 - 1.5)
        rounds += 1
        if abs(at) > 2 or rounds == 50:
            image[number] = rounds
            number, at, rounds = (number + 1) % (width * width), 0j, 0


async def a_game_of_life() -> None:
    """One cell of a field is computed in each turn; the field stays as large."""
    size, chance = 32, random.Random(1)
    field = [[chance.random() < 0.3 for _ in range(size)] for _ in range(size)]
    following = [[False] * size for _ in range(size)]
    async for number in ticks(0):
        row, column = divmod(number % (size * size), size)
        near = sum(
            field[(row + down) % size][(column + right) % size]
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if down or right
        )
        following[row][column] = near == 3 or (near == 2 and field[row][column])
        if number % (size * size) == size * size - 1:
            field, following = following, field


async def a_walk_of_one_number() -> None:
    """Nothing but one number changes, by chance."""
    chance, height = random.Random(1), 0.0
    async for _ in ticks(0):
        height += chance.gauss(0, 1)


async def bodies_that_move() -> None:
    """What changes are attributes of objects in the list of an object."""

    class _Body:
        def __init__(self, at: float, speed: float) -> None:
            self.at, self.speed = at, speed

    class _World:
        def __init__(self) -> None:
            self.bodies = [_Body(number / 10, 1 - number / 5) for number in range(10)]

        def step(self) -> None:
            for body in self.bodies:
                body.at += body.speed * 0.001
                if not 0 < body.at < 1:
                    body.speed = -body.speed

    world = _World()
    async for _ in ticks(0):
        world.step()


async def a_parser_that_yields() -> None:
    """A text is read letter by letter, and only numbers are kept."""
    text, at, depth, deepest = '{"a": [1, 2, {"b": []}], "c": null}' * 1_000, 0, 0, 0
    async for _ in ticks(0):
        depth += (text[at] in "{[") - (text[at] in "}]")
        deepest, at = max(deepest, depth), (at + 1) % len(text)


async def callbacks_that_compute() -> None:
    """A callback computes the next value, which only its closure has, and schedules itself."""
    loop = asyncio.get_running_loop()
    ended, value, ends_s = asyncio.Event(), 0.3, loop.time() + LASTS_S

    def step() -> None:
        nonlocal value
        value = 3.9 * value * (1 - value)
        if loop.time() < ends_s:
            loop.call_soon(step)
        else:
            ended.set()

    step()
    await ended.wait()


async def a_state_of_the_module() -> None:
    """A script keeps its numbers among the names of its module."""
    async for _ in ticks(0):
        _next_random()


_random = 1


def _next_random() -> None:
    global _random
    _random = (_random * 6364136223846793005 + 1442695040888963407) % (1 << 64)


if __name__ == "__main__":
    play(globals())
