"""A producer and a consumer with a queue for one item between them."""

import asyncio

import meter


async def work(count: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        for number in range(count):
            await queue.put(number)

    async def consume() -> None:
        for _ in range(count):
            await queue.get()

    await asyncio.gather(produce(), consume())


meter.run(work)
