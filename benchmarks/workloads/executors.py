"""A service with 50 executors of two threads: a timer of 10 ms gives each of them a call in turn.

100 µs per item are 1 % of a processor.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import meter

EXECUTORS, THREADS = 50, 2
_executors = [ThreadPoolExecutor(THREADS) for _ in range(EXECUTORS)]


async def work(count: int) -> None:
    loop = asyncio.get_running_loop()
    for number in range(count):
        await asyncio.sleep(0.01)
        await loop.run_in_executor(_executors[number % EXECUTORS], time.sleep, 0)


meter.run(work)
