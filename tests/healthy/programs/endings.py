"""Programs that take a moment to end, and end."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.healthy.programs.play import play, ticks


def idle_threads_of_a_pool() -> None:
    """Its threads wait for work, and Python joins them."""
    pool = ThreadPoolExecutor(4)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 0.3) for _ in range(4)))

    asyncio.run(main())


def last_work_of_a_thread() -> None:
    """A thread writes what is left, and ends."""
    left: queue.Queue[int | None] = queue.Queue()

    def write() -> None:
        while left.get() is not None:
            time.sleep(0.1)

    async def main() -> None:
        threading.Thread(target=write, name="writer").start()
        async for number in ticks(0.05, 2):
            left.put(number)
        left.put(None)

    asyncio.run(main())


def daemons_that_never_end() -> None:
    """Nobody waits for them."""

    async def main() -> None:
        for _ in range(3):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        await asyncio.sleep(1)

    asyncio.run(main())


def an_exit_handler_that_flushes() -> None:
    """What was collected is sent at the end, which takes a second and a half."""
    atexit.register(time.sleep, 1.5)
    asyncio.run(asyncio.sleep(1))


def a_graceful_stop() -> None:
    """It is asked to end, serves the last requests, and ends."""

    async def main() -> None:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        serving = [asyncio.create_task(asyncio.sleep(3)) for _ in range(5)]
        await asyncio.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        await asked.wait()
        await asyncio.gather(*serving)

    asyncio.run(main())


def work_after_the_loop() -> None:
    """The loop only collects; what is collected is worked on afterwards."""
    asyncio.run(asyncio.sleep(0.5))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [1.0] * 4))


def tasks_cancelled_at_the_end() -> None:
    """`asyncio.run` cancels what is left, and it ends."""

    async def main() -> None:
        background = [asyncio.create_task(asyncio.sleep(60)) for _ in range(30)]
        await asyncio.sleep(1)
        assert len(background) == 30

    asyncio.run(main())


if __name__ == "__main__":
    play(globals())
