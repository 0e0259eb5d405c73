"""The last count of a process's tasks."""

from __future__ import annotations

import asyncio
import threading

import pytest

from harness.probe.tasks import census
from harness.probe.tasks.census import Census
from harness.probe.tasks.register import FORGETS_DONE
from harness.record.observation import Observation


@pytest.mark.skipif(FORGETS_DONE, reason="no Python 3.13 or earlier, whose register tells how many there are")
@pytest.mark.parametrize("most", [1, 100])
async def test_tasks_are_counted_at_the_end_unless_there_are_too_many(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os._exit` waits for it, and takes as long as before beside a hundred thousand tasks."""
    monkeypatch.setattr(census, "AT_THE_END", most)
    wrote_in: list[int] = []

    def write(_event: Observation) -> None:
        wrote_in.append(threading.get_ident())

    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(20)]
    await asyncio.sleep(0)
    counting = Census(write=write, on_swallowed=lambda _: None, on_error=lambda *_: None)
    counting.loop_begins(asyncio.get_running_loop())
    counting.leave()
    counting.close()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert (threading.get_ident() in wrote_in) == (most == 100)
