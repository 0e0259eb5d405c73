"""The list of the process's tasks: of loops that have begun to run, in any thread, and not too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.probe.tasks import register
from harness.watching import watch_loop


@contextmanager
def loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in another thread, with two tasks that wait."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def main() -> None:
        other = asyncio.create_task(asyncio.sleep(60), name="of a thread")
        asyncio.get_running_loop().call_soon(ready.set)
        try:
            await asyncio.Future[None]()
        finally:
            other.cancel()

    def run() -> None:
        main_task = loop.create_task(main(), name="of a thread")
        loop.call_soon_threadsafe(lambda: None)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(main_task)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(5)
    yield loop
    # In one call: the thread closes its loop as soon as its main task is cancelled.
    tasks = asyncio.all_tasks(loop)
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
    thread.join()


def names() -> list[str]:
    found = register.registered()
    assert found is not None
    tasks = [task for reference in found if (task := reference()) is not None and not task.done()]
    return sorted(task.get_name() for task in tasks if task.get_name().startswith("of "))


async def test_tasks_of_all_watched_loops_are_listed() -> None:
    """Of the running one and of one in another thread; an ended task is pending no more."""
    ended = asyncio.create_task(asyncio.sleep(0), name="of before")
    await ended
    with watch_loop(), loop_in_thread():
        waiting = asyncio.create_task(asyncio.sleep(60), name="of here")

        assert names() == ["of a thread", "of a thread", "of here"]
        waiting.cancel()
    assert names() == ["of here"]


async def test_a_list_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up the other threads while it is made."""
    with watch_loop():
        monkeypatch.setattr(register, "LOOKED_AT", 2)
        monkeypatch.setattr(register, "_not_before_ns", 0)
        crowd = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]

        assert register.registered() is None
        for task in crowd:
            task.cancel()
