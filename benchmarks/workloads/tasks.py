"""A service in which 10,000 tasks wait, four coroutines deep, beside a timer of 10 ms.

100 µs per item are 1 % of a processor.
"""

import asyncio

import meter

TASKS, DEPTH = 10_000, 3


async def wait(event: asyncio.Event, depth: int) -> None:
    if depth:
        await wait(event, depth - 1)
    else:
        await event.wait()


async def work(count: int) -> None:
    event = asyncio.Event()
    waiting = [asyncio.create_task(wait(event, DEPTH)) for _ in range(TASKS)]
    await asyncio.sleep(0)
    for _ in range(count):
        await asyncio.sleep(0.01)
    event.set()
    await asyncio.gather(*waiting)


meter.run(work)
