"""Programs with child processes that write, wait and end, and are looked after."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from tests.healthy.programs.play import play, ticks

_CHATTY = "import sys; [print('a line of output ' * 10) for _ in range(4000)]"
_WAITS = "import time; time.sleep(5)"


async def output_that_is_read() -> None:
    """`communicate` reads both pipes."""
    for _ in range(4):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", _CHATTY, stdout=PIPE, stderr=PIPE)
        await child.communicate()
        await asyncio.sleep(0.5)


async def output_that_is_read_slowly() -> None:
    """A child waits in its write again and again, because its reader takes its time."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _CHATTY, stdout=PIPE)
    assert child.stdout is not None
    async for _ in ticks(0.3):
        await child.stdout.read(20_000)
    while await child.stdout.read(100_000):
        pass
    await child.wait()


async def output_that_nobody_wants() -> None:
    """It goes to the null device, or into the same pipe."""
    for _ in range(4):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", _CHATTY, stdout=DEVNULL)
        await child.wait()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CHATTY, stdout=PIPE, stderr=STDOUT
        )
        await child.communicate()


async def output_in_a_file() -> None:
    """A file is never full."""
    with tempfile.TemporaryFile() as file:
        for _ in range(5):
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", _CHATTY, stdout=file)
            await child.wait()
            await asyncio.sleep(0.5)


async def a_child_that_takes_its_time() -> None:
    """It sleeps, and its parent waits for its end."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _WAITS, stdout=PIPE, stderr=PIPE)
    await child.wait()
    await child.communicate()


async def a_child_that_waits_for_input() -> None:
    """A filter gets a line now and then."""
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    async for _ in ticks(1):
        child.stdin.write(b"line\n")
        await child.stdout.readline()
    child.stdin.close()
    await child.wait()


async def children_waited_for_in_threads() -> None:
    """Each child has a thread that starts it and waits for its end."""
    async for _ in ticks(0.3):
        await asyncio.gather(*(asyncio.to_thread(subprocess.run, ["sleep", "0.2"]) for _ in range(3)))


async def children_collected_later() -> None:
    """A supervisor asks once a second who has ended."""
    running: list[subprocess.Popen[bytes]] = []
    async for _ in ticks(1):
        running.append(await asyncio.to_thread(subprocess.Popen, ["sleep", "0.1"]))
        running = [child for child in running if child.poll() is None]
    for child in running:
        child.wait()


if __name__ == "__main__":
    play(globals())
