"""What the timing of turns leaves as it was, and that it misses none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record import page
from tests.support.watched import watched

YIELDING = """
    import asyncio

    async def main():
        for _ in range({count}):
            await asyncio.sleep(0)

    asyncio.run(main())
"""

CROWD = """
    import asyncio, json, os

    async def main():
        loop, turn, told = asyncio.get_running_loop(), 0, []
        reading, writing = os.pipe()
        # One byte makes all of them ready at the same time.
        files = [os.dup(reading) for _ in range({files})]
        for file in files:
            loop.add_reader(file, lambda: told.append(turn))
        for _ in range(50):
            for _ in range(3):
                turn += 1
                await asyncio.sleep(0)
            os.write(writing, b"x")
            turn += 1
            await asyncio.sleep(0)
            os.read(reading, 1)
        turn += 1
        await asyncio.sleep(0)
        for file in files:
            loop.remove_reader(file)
        print(json.dumps(told))

    asyncio.run(main())
"""


def turns(tmp_path: Path, count: int) -> int:
    """How many turns were counted of a loop that yields so often."""
    seen = watched(YIELDING.format(count=count), tmp_path / str(count))
    [counted] = [page.read(path) for path in seen.folder.loops.iterdir()]
    assert counted is not None
    return counted.turns


def test_every_turn_is_counted(tmp_path: Path) -> None:
    """A thousand turns more are counted as a thousand more, whatever the probe looks at between them."""
    assert turns(tmp_path, 1_010) - turns(tmp_path, 10) == 1_000


KILLED = """
    import asyncio, os, signal

    async def main():
        end = asyncio.get_running_loop().time() + 1.5
        count = 0
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.001)
            count += 1
        print(count, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


def test_a_killed_process_loses_only_the_latest_counts(tmp_path: Path) -> None:
    """Those of the last 100 ms; the page has all the others, also of the shortest turns."""
    seen = watched(KILLED, tmp_path)
    [counted] = [page.read(path) for path in seen.folder.loops.iterdir()]

    assert counted is not None
    # A sleep is two turns: one wakes its future, the next the task.
    known = 2 * int(seen.stdout)
    # No more than 200 fit into 100 ms; and some time passes until the loop next gives a sign of life.
    assert known - 450 <= counted.turns <= known + 20
    assert known > 600


@pytest.mark.parametrize("files", [1, 40, 300])
def test_all_files_that_are_ready_are_told_in_one_turn(files: int, tmp_path: Path) -> None:
    """As many files as there may be: the turn that finds them ready runs the callbacks of all of them.

    That is the turn after the one of the write.
    """
    seen = watched(CROWD.format(files=files), tmp_path)

    assert seen.said == [4 * round_ + 5 for round_ in range(50) for _ in range(files)]


def test_a_loop_that_waits_for_a_timer_wakes_no_thread_again_and_again(tmp_path: Path) -> None:
    """The probe's threads look ever more rarely, and its watchdog not at all."""
    program = """
        import asyncio, json, os
        from pathlib import Path

        def switches():
            status = (one / "status" for one in Path("/proc/self/task").iterdir())
            lines = (line for one in status for line in one.read_text().splitlines())
            return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))

        async def main():
            await asyncio.sleep(1.5)
            before = switches()
            await asyncio.sleep(1.5)
            print(json.dumps(switches() - before))

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    # The young detectors' looks take up to forty here; a look at each half of the limit would be thirty more.
    assert seen.said < 50
