"""Two tasks that do nothing but let each other run: the shortest turns there are."""

import asyncio

import meter


async def work(count: int) -> None:
    async def yield_often() -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    await asyncio.gather(yield_often(), yield_often())


meter.run(work)
