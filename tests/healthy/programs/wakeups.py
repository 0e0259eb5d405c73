"""Programs that are woken by other threads, signals and descriptors, in the right way."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
from concurrent.futures import Future

from tests.healthy.programs.play import LASTS_S, play, ticks


async def items_of_a_thread() -> None:
    """A thread hands each item to the loop by `call_soon_threadsafe`."""
    items, loop = asyncio.Queue[int](), asyncio.get_running_loop()

    def feed() -> None:
        for number in range(int(LASTS_S / 0.05)):
            time.sleep(0.05)
            loop.call_soon_threadsafe(items.put_nowait, number)
        loop.call_soon_threadsafe(items.put_nowait, -1)

    threading.Thread(target=feed).start()
    while await items.get() >= 0:
        pass


async def coroutines_of_a_thread() -> None:
    """A thread runs coroutines in the loop, and waits for their results."""
    loop = asyncio.get_running_loop()

    async def answer() -> int:
        await asyncio.sleep(0.2)
        return 1

    def ask() -> None:
        for _ in range(20):
            asyncio.run_coroutine_threadsafe(answer(), loop).result()

    await asyncio.to_thread(ask)


async def a_queue_with_two_sides() -> None:
    """Threads put and get on one side and tasks on the other, as in janus."""
    loop, there, here = asyncio.get_running_loop(), queue.Queue[int](10), asyncio.Event()

    def put() -> None:
        for number in range(100):
            there.put(number)
            loop.call_soon_threadsafe(here.set)
            time.sleep(0.05)

    threading.Thread(target=put).start()
    got = 0
    while got < 100:
        await here.wait()
        here.clear()
        while not there.empty():
            there.get_nowait()
            got += 1


async def signals_that_are_handled() -> None:
    """A signal's handler of the loop wakes it up."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    async for _ in ticks(0.5):
        os.kill(os.getpid(), signal.SIGUSR1)
        await told.wait()
        told.clear()


async def a_bell_of_a_thread() -> None:
    """A thread rings by a pipe that the loop reads."""
    near, far = os.pipe()
    os.set_blocking(near, False)
    rung, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        os.read(near, 100)
        rung.set()

    def ring() -> None:
        for _ in range(12):
            time.sleep(0.4)
            os.write(far, b"!")

    loop.add_reader(near, read)
    threading.Thread(target=ring).start()
    for _ in range(12):
        await rung.wait()
        rung.clear()
    loop.remove_reader(near)


async def a_future_of_another_thread() -> None:
    """A concurrent future is wrapped, so its result wakes up the loop."""
    for _ in range(10):
        future: Future[int] = Future()
        threading.Timer(0.4, future.set_result, (1,)).start()
        await asyncio.wrap_future(future)


async def a_loop_in_each_thread() -> None:
    """Two loops talk to each other."""
    main, own = asyncio.get_running_loop(), asyncio.Queue[int]()
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()

    async def echo(number: int) -> None:
        await asyncio.sleep(0.1)
        main.call_soon_threadsafe(own.put_nowait, number)

    async for number in ticks(0.2, 4):
        asyncio.run_coroutine_threadsafe(echo(number), other)
        await own.get()
    other.call_soon_threadsafe(other.stop)
    await asyncio.to_thread(thread.join)
    other.close()


if __name__ == "__main__":
    play(globals())
