"""Programs whose tasks fail, and in which somebody looks at each failure."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.healthy.programs.play import play, ticks


class _ExpectedError(Exception):
    pass


async def _fail(after_s: float = 0.1) -> None:
    await asyncio.sleep(after_s)
    raise _ExpectedError("as expected")


async def a_supervisor() -> None:
    """A worker that died is started again."""
    worker = asyncio.create_task(_fail())
    async for _ in ticks(0.3):
        if worker.done() and worker.exception() is not None:
            worker = asyncio.create_task(_fail())
    await asyncio.wait([worker])
    worker.exception()


async def a_group_left_by_except_star() -> None:
    """A failure ends the others of its group, and is handled."""
    async for _ in ticks(0.05):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_fail(0.02))
                for _ in range(3):
                    group.create_task(asyncio.sleep(60))
        except* _ExpectedError:
            pass


async def results_of_a_crowd() -> None:
    """Failures are among the results that `gather` gives back."""
    async for _ in ticks(0.05):
        await asyncio.gather(*(_fail(0.05) for _ in range(5)), return_exceptions=True)


async def failures_in_a_callback() -> None:
    """A callback looks at each task that ends, and forgets it."""
    tasks: set[asyncio.Task[None]] = set()
    failures: list[BaseException | None] = []

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        failures.append(task.exception())

    async for _ in ticks(0.05):
        task = asyncio.create_task(_fail())
        tasks.add(task)
        task.add_done_callback(ended)
    await asyncio.wait(tasks)


async def the_first_that_fails() -> None:
    """All are waited for until one fails, then each is looked at."""
    async for _ in ticks(0.2):
        tasks = [asyncio.create_task(_fail(0.05 * number)) for number in range(1, 4)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        done, _ = await asyncio.wait(tasks)
        for task in done:
            task.exception()


async def a_failure_kept_until_the_end() -> None:
    """A background task fails early; what it raised is raised again at the shutdown."""

    class _Service:
        def __init__(self) -> None:
            self.task = asyncio.create_task(_fail())

        async def run(self) -> None:
            async for _ in ticks(0.2):
                pass
            try:
                await self.task
            except _ExpectedError:
                return

    await _Service().run()


async def attempts_as_they_complete() -> None:
    """Several attempts race, and the failed ones are passed over."""

    async def succeed() -> str:
        await asyncio.sleep(0.15)
        return "answer"

    async for _ in ticks(0.1):
        for attempt in asyncio.as_completed([_fail(), _fail(0.05), succeed()]):
            try:
                await attempt
            except _ExpectedError:
                continue


async def errors_handed_to_the_caller() -> None:
    """A worker gives its errors to the futures of those who asked."""
    jobs: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def work() -> None:
        while True:
            job = await jobs.get()
            job.set_exception(_ExpectedError("as expected"))

    worker = asyncio.create_task(work())
    async for _ in ticks(0.05):
        job = asyncio.get_running_loop().create_future()
        jobs.put_nowait(job)
        try:
            await job
        except _ExpectedError:
            continue
    worker.cancel()
    await asyncio.wait([worker])


async def a_barrier_without_the_one_that_failed() -> None:
    """The others wait for a party that failed, until a supervisor sees it and ends the barrier."""
    barrier = asyncio.Barrier(3)

    async def party(number: int) -> None:
        await asyncio.sleep(0.1 * number)
        if number == 2:
            raise _ExpectedError("as expected")
        await barrier.wait()

    async for _ in ticks(0.1):
        parties = [asyncio.create_task(party(number)) for number in range(3)]
        await asyncio.wait([parties[2]])
        await asyncio.sleep(0.2)
        if parties[2].exception() is not None:
            await barrier.abort()
            await barrier.reset()
        await asyncio.gather(*parties, return_exceptions=True)


if __name__ == "__main__":
    play(globals())
