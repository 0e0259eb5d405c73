"""A service with nothing to do but a timer of 10 ms: 100 µs per item are 1 % of a processor."""

import asyncio

import meter


async def work(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0.01)


meter.run(work)
