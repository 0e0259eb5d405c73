"""Tasks that do nothing, one after the other: create, run, end."""

import asyncio

import meter


async def work(count: int) -> None:
    async def nothing() -> None:
        pass

    for _ in range(count):
        await asyncio.create_task(nothing())


meter.run(work)
