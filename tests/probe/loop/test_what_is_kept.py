"""What the observation of a late turn keeps of the program, and asks of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import Blocked
from tests.support.watched import LIMIT_MS, watched

# A turn that is sampled, of a task that has something with a finalizer, and a callback that waits for it.
KEPT = """
    import asyncio, threading, time

    class Upload:
        def __init__(self, name):
            self.name = name

        def __del__(self):
            here = threading.current_thread() is threading.main_thread()
            print(self.name, "in main" if here else "elsewhere", time.monotonic() - began < 1)

    async def work(upload):
        time.sleep({held_s})
        return upload

    async def main():
        global began
        began = time.monotonic()
        task = asyncio.create_task(work(Upload("variable")))
        asyncio.get_running_loop().call_soon(lambda upload: None, Upload("waiting"))
        await task
        del task
        await asyncio.sleep(1.5)

    asyncio.run(main())
"""


@pytest.mark.parametrize("held", [0.75, 3.0], ids=["in time", "late"])
def test_a_turn_keeps_nothing_of_the_program_after_its_end(held: float, tmp_path: Path) -> None:
    """One that was sampled and ended in time, and a block: finalizers run at once, on the loop's thread."""
    ran = watched(KEPT.format(held_s=held * LIMIT_MS / 1000), tmp_path)

    assert sorted(ran.stdout.splitlines()) == [f"{name} in main True" for name in ("variable", "waiting")]


ANSWERS = """
    import asyncio, time
    from unittest.mock import Mock

    class Lazy:
        @property
        def __class__(self):
            print("evaluated")
            return object

        def __getattr__(self, name):
            print("asked for", name)
            return self

        def __call__(self):
            print("called")

    async def main():
        loop, mock = asyncio.get_running_loop(), Mock()
        loop.call_soon(time.sleep, 0.2)
        loop.call_soon(mock)
        loop.call_soon(Lazy())
        await asyncio.sleep(0.3)
        print(mock.mock_calls)

    asyncio.run(main())
"""


def test_a_callback_that_answers_any_name_is_asked_for_none(tmp_path: Path) -> None:
    """Such as a mock, or the proxy of something far away; it waited for a block, and its loop goes on."""
    ran = watched(ANSWERS, tmp_path)

    assert ran.stdout.splitlines() == ["called", "[call()]"]
    assert ran.of(Blocked)
