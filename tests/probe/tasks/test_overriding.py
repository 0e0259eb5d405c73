"""Tasks of a class of the program, which overrides asyncio's methods."""

from __future__ import annotations

from pathlib import Path

from harness.probe.tasks.register import FORGETS_DONE
from harness.record.event import Blocked, ProbeFailed
from tests.support.watched import watched

PROGRAM = """
    import asyncio, threading, time

    elsewhere = set()

    def overriding(name):
        def method(self, *args, **kwargs):
            if threading.current_thread() is not threading.main_thread():
                elsewhere.add(name)
            return getattr(super(Job, self), name)(*args, **kwargs)
        return method

    class Job(asyncio.Task):
        for name in ("get_coro", "get_name", "done", "cancelled", "cancelling", "get_stack", "__repr__"):
            vars()[name] = overriding(name)

    async def work():
        await asyncio.Event().wait()

    async def cancelled():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async def main():
        asyncio.get_running_loop().set_task_factory(lambda loop, work, **kw: Job(work, loop=loop, **kw))
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        tasks += [asyncio.create_task(cancelled()) for _ in range(20)]
        await asyncio.sleep(0.1)
        for task in tasks[20:]:
            task.cancel()
        for _ in range(20):
            await asyncio.sleep(0.05)
        await asyncio.create_task(asyncio.sleep(0.1))
        await asyncio.create_task(block(), name="blocks")
        print(sorted(elsewhere))

    async def block():
        time.sleep(0.5)

    asyncio.run(asyncio.wait_for(main(), 60))
"""


def test_methods_that_a_class_of_tasks_overrides_are_not_called_in_another_thread(tmp_path: Path) -> None:
    """By what counts and describes the tasks, which needs no method of theirs."""
    seen = watched(PROGRAM, tmp_path, waits=1.0)

    # From 3.14 on, it is asyncio that asks each task in its list.
    assert seen.stdout in ("[]\n", *["['done']\n"] * FORGETS_DONE), seen.stderr
    assert "blocks" in {sample.task for block in seen.of(Blocked) for sample in block.samples}
    assert seen.of(ProbeFailed) == []
