"""Loops that spin, and loops that are as busy with work: real programs under the probe."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from harness.read.finding import CostUnit
from harness.read.report import Report
from harness.read.spinning.spin import LEAST_NS, LOOKS
from harness.record.event import Event, LoopSpun, LoopStarted
from harness.record.reader import Follower
from harness.record.run_folder import RunFolder
from tests.support.judged import judged, program_line
from tests.support.pythons import OTHERS, needs_python
from tests.support.watched import Outcome, outcome, start

# Beside the work, a heartbeat: the service still answers, and no turn is long.
FRAME = """
import asyncio, functools, heapq, json, os, random, socket, sys, threading
from collections import deque

{body}

async def main():
    kept = await work()
    while True:
        await asyncio.sleep(0.05)

if {uvloop}:
    import uvloop
    uvloop.install()
asyncio.run(main())
"""

# Each has a name for what is found, and the text of the line that is named.
SPINS: dict[str, tuple[str, str, str]] = {
    "a task that lets the others run": (
        "Poller.watch",
        "# polls",
        """
        class Poller:
            rounds, done = 0, False

            async def watch(self):
                while not self.done:
                    self.rounds += 1
                    await asyncio.sleep(0)  # polls

        async def work():
            return asyncio.create_task(Poller().watch())
        """,
    ),
    "a loop that measures its rounds": (
        "Meter.run",
        "# polls on",
        """
        class Meter:
            rounds, mean_s, log = 0, 0.0, ()

            async def run(self):
                self.log, last_s = [], loop_time()
                while True:
                    now_s = loop_time()
                    took_s, last_s = now_s - last_s, now_s
                    self.rounds, self.mean_s = self.rounds + 1, self.mean_s * 0.9 + took_s * 0.1
                    self.log.append(None)
                    await self.nothing()

            async def nothing(self):
                await asyncio.sleep(0)  # polls on

        def loop_time():
            return asyncio.get_running_loop().time()

        async def work():
            return asyncio.create_task(Meter().run())
        """,
    ),
    "a reader at the end of its input": (
        "follow",
        "# reads on",
        """
        async def follow(reader):
            lines = []
            while True:
                lines.append(await asyncio.wait_for(asyncio.create_task(reader.readline()), 60))  # reads on

        async def serve(reader, writer):
            writer.close()

        async def work():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            return server, writer, asyncio.create_task(follow(reader))
        """,
    ),
    "a callback that schedules itself": (
        "Scope.deliver",
        "def deliver",
        """
        class Scope:
            def deliver(self, task):
                if not task.done():
                    asyncio.get_running_loop().call_soon(functools.partial(self.deliver, task))

        async def listen():
            await asyncio.Event().wait()  # listens

        async def work():
            task = asyncio.create_task(listen())
            await asyncio.sleep(0)
            Scope().deliver(task)
        """,
    ),
    "a timer that is due at once": (
        "tick",
        "def tick",
        """
        def tick(loop):
            loop.call_at(loop.time() - 1, tick, loop)

        async def work():
            tick(asyncio.get_running_loop())
        """,
    ),
    "a file whose other end is closed": (
        "Feed.ready",
        "def ready",
        """
        class Feed:
            def __init__(self, near):
                self.near, self.got = near, b""

            def ready(self):
                self.got += self.near.recv(4096)

        async def work():
            near, far = socket.socketpair()
            far.close()
            feed = Feed(near)
            asyncio.get_running_loop().add_reader(near, feed.ready)
            return feed
        """,
    ),
    "a counter that nobody reads": (
        "awake",
        "def awake",
        """
        def awake():
            pass

        async def work():
            bell = os.eventfd(1)
            asyncio.get_running_loop().add_reader(bell, awake)
        """,
    ),
}

# Each keeps its loop as busy, with turns as short.
WORK = {
    "rows in small steps": """
        async def crunch(rows):
            for row in rows:
                len(row)
                await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(crunch([str(number) for number in range(1_000_000)]))
        """,
    "a backlog that gets smaller": """
        class Drain:
            def __init__(self):
                self.backlog, self.total = deque(range(2_000_000)), 0

            async def run(self):
                while self.backlog:
                    self.total += self.backlog.popleft()
                    await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(Drain().run())
        """,
    "chunks of work": """
        async def crunch():
            while True:
                sum(range(20_000))
                await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(crunch())
        """,
    "a producer and a consumer": """
        async def produce(queue):
            while True:
                await queue.put(None)

        async def consume(queue):
            while True:
                await queue.get()

        async def work():
            queue = asyncio.Queue(1)
            return [asyncio.create_task(of(queue)) for of in (produce, consume)]
        """,
    "a task for each row": """
        async def handle(row):
            return len(row)

        async def crunch(rows):
            for row in rows:
                await asyncio.create_task(handle(row))

        async def work():
            return asyncio.create_task(crunch([str(number) for number in range(1_000_000)]))
        """,
    "batches of tasks": """
        async def handle(number):
            return number * number

        async def crunch():
            start = 0
            while True:
                await asyncio.gather(*[handle(number) for number in range(start, start + 50)])
                start += 50

        async def work():
            return asyncio.create_task(crunch())
        """,
    "short requests at full load": """
        async def serve(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)

        async def ask(address):
            reader, writer = await asyncio.open_connection(*address)
            while True:
                writer.write(b"ping")
                await reader.readexactly(4)

        async def work():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            return server, [asyncio.create_task(ask(address)) for _ in range(8)]
        """,
    "a callback that takes what has come": """
        def feed(far):
            while True:
                far.send(b"x" * 512)

        async def work():
            near, far = socket.socketpair()
            threading.Thread(target=feed, args=(far,), daemon=True).start()
            asyncio.get_running_loop().add_reader(near, near.recv, 512)
            return near
        """,
    "hot polling": """
        async def poll():
            while True:
                await asyncio.sleep(0.001)

        async def work():
            return [asyncio.create_task(poll()) for _ in range(30)]
        """,
    "a simulation with as many events to come": """
        async def simulate():
            chance = random.Random(1)
            events = [(chance.random(), number) for number in range(100)]
            while True:
                at, number = heapq.heappop(events)
                heapq.heappush(events, (at + chance.random(), number))
                await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(simulate())
        """,
    "a window that slides": """
        async def average():
            window, total = deque(maxlen=100), 0.0
            while True:
                window.append(random.random())
                total = sum(window)
                await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(average())
        """,
    "a number that is computed": """
        async def logistic():
            value = 0.3
            while True:
                value = 3.9 * value * (1 - value)
                await asyncio.sleep(0)

        async def work():
            return asyncio.create_task(logistic())
        """,
    "a lock that goes round": """
        async def turn(lock):
            while True:
                async with lock:
                    await asyncio.sleep(0)

        async def work():
            lock = asyncio.Lock()
            return [asyncio.create_task(turn(lock)) for _ in range(5)]
        """,
}

# More than two looks take, on a machine that gives the programs a part of a processor.
WITHIN_S = 40
# The first look is over by then.
WORKED_S = 1.6

Running = Mapping[str, tuple[subprocess.Popen[str], RunFolder]]


@contextmanager
def running(
    programs: Mapping[str, str], tmp_path: Path, *, python: str = "", loop: str = ""
) -> Iterator[Running]:
    """These programs, all at once; each in a folder of its own."""
    started = {}
    try:
        for number, (name, body) in enumerate(programs.items()):
            (folder := tmp_path / str(number)).mkdir()
            text = FRAME.format(body=dedent(body), uvloop=loop == "uvloop")
            started[name] = start(text, folder, python=python or sys.executable)
        yield started
    finally:
        for process, _ in started.values():
            process.kill()
            process.wait()


def ended(process: subprocess.Popen[str], folder: RunFolder) -> tuple[Outcome, Report]:
    """The record of a program that is killed now, and its report."""
    process.kill()
    seen = outcome(process, folder)
    return seen, judged(seen)


def wait_until(folder: RunFolder, is_there: Callable[[Event], bool], deadline_s: float) -> None:
    """Wait until the record has such an event, but not for ever."""
    follower = Follower(folder.events)
    while time.monotonic() < deadline_s and not any(is_there(event) for _, event in follower.new_events()):
        time.sleep(0.1)


def is_lasting(event: Event) -> bool:
    return isinstance(event, LoopSpun) and event.looks >= LOOKS and event.until_ns - event.at_ns >= LEAST_NS


def has_begun(event: Event) -> bool:
    return isinstance(event, LoopStarted)


def check_told(names: list[str], tmp_path: Path, *, python: str = "", loop: str = "") -> None:
    """Each of these spins, and its report says so."""
    with running({name: SPINS[name][2] for name in names}, tmp_path, python=python, loop=loop) as programs:
        deadline_s = time.monotonic() + WITHIN_S
        for name, (process, folder) in programs.items():
            wait_until(folder, is_lasting, deadline_s)
            _, told = ended(process, folder)

            who, text, _ = SPINS[name]
            (found,) = [finding for finding in told.findings if finding.rule == "spins"]
            line = program_line(text, folder.path.parent)
            assert (found.level, found.line) == ("warning", line), name
            assert f": {who} " in found.message, name
            assert "program.py:" in found.message, name
            assert found.cost is not None
            assert found.cost.unit == CostUnit.BURNT_S
            assert found.cost.amount > 0, name


@pytest.mark.parametrize(
    "names", [list(SPINS)[:4], pytest.param(list(SPINS)[4:], marks=pytest.mark.long)], ids=["1", "2"]
)
def test_what_keeps_a_loop_spinning_is_told(names: list[str], tmp_path: Path) -> None:
    """With the line in the program: of a task, a callback, a timer, and the callback of a file."""
    check_told(names, tmp_path)


@pytest.mark.parametrize("version", OTHERS)
def test_a_spin_is_told_in_another_version(version: str, tmp_path: Path) -> None:
    """Of a task that is woken up by what it has made itself, and of a callback."""
    check_told(list(SPINS)[2:4], tmp_path, python=needs_python(version))


@pytest.mark.long
def test_a_spin_is_told_under_uvloop(tmp_path: Path) -> None:
    """Of tasks and callbacks; which file is always ready, uvloop does not show."""
    pytest.importorskip("uvloop")
    check_told(list(SPINS)[:4:3], tmp_path, loop="uvloop")


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=pytest.mark.long)])
def test_a_loop_that_is_busy_with_work_does_not_spin(loop: str, tmp_path: Path) -> None:
    """No look finds one, however often the same task runs."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with running(WORK, tmp_path, loop=loop) as programs:
        for _, folder in programs.values():
            wait_until(folder, has_begun, time.monotonic() + WITHIN_S)
        time.sleep(WORKED_S)
        for name, (process, folder) in programs.items():
            seen, told = ended(process, folder)

            assert seen.of(LoopSpun) == [], name
            assert [finding for finding in told.findings if finding.rule == "spins"] == [], name
