"""What piles up and what stands still: real programs under the probe, and what a report says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read.finding import Finding, Level
from harness.record.event import ChildStuck, GaugesRead
from tests.support.judged import judged, line_of
from tests.support.pythons import EACH, needs_python
from tests.support.watched import Outcome, watched

RULES = ("growth", "children", "wakeups")

# Four troubles at a time: they do not touch each other. The program itself says when each has lasted.
TROUBLED = """
    import asyncio, os, subprocess, sys

    FLOOD = "import sys; sys.stderr.write('progress ' * 60000)"

    class Feed:
        def __init__(self):
            self.clients, self.jobs = [], asyncio.Queue()

        async def subscribed(self, reader, writer):
            self.clients.append(writer)
            await reader.read()

        async def publish(self):
            while True:
                for client in self.clients:
                    client.write(bytes(65536))  # no drain
                await asyncio.sleep(0.01)

        async def offer(self):
            while True:
                for _ in range(5):
                    self.jobs.put_nowait({"id": 1})  # no limit
                await asyncio.sleep(0.005)

        async def work(self):
            while True:
                await self.jobs.get()
                await asyncio.sleep(0.1)

    async def convert():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        await child.wait()  # nobody reads

    async def forget():
        while True:
            if os.fork() == 0:
                os._exit(0)
            await asyncio.sleep(0.3)

    async def main():
        feed = Feed()
        server = await asyncio.start_server(feed.subscribed, "127.0.0.1", 0)
        client = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=1024)
        works = feed.publish(), feed.offer(), feed.work(), convert(), forget()
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(4.5)
        os._exit(0)

    asyncio.run(main())
"""

# A loop that sleeps, and a thread that does not wake it.
WOKEN = """
    import asyncio, threading, time

    class Source(threading.Thread):
        def __init__(self, changed):
            super().__init__(daemon=True)
            self.changed = changed

        def run(self):
            while True:
                time.sleep(0.3)
                self.tell()

        def tell(self):
            self.changed.set()  # not from the loop's thread

    async def follow(changed):
        while True:
            await changed.wait()
            changed.clear()

    async def main():
        changed = asyncio.Event()
        task = asyncio.create_task(follow(changed))
        Source(changed).start()
        for _ in range(3):
            await asyncio.sleep(1.2)

    asyncio.run(main())
"""

# As much as a healthy program does of all that.
HEALTHY = """
    import asyncio, os, subprocess, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    if {uvloop}:
        import uvloop
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

    PIPE = asyncio.subprocess.PIPE
    CHATTY = "import sys; [print('line ' * 40) for _ in range(3000)]"
    BUSY = "import time; [None for _ in iter(lambda: time.process_time() < 1, False)]"
    IDLE = "import time; time.sleep(2)"

    async def sink(reader, writer):
        while await reader.read(65536):
            await asyncio.sleep(0.001)

    async def upload(port):
        \"\"\"A slow peer, and a writer that waits for it.\"\"\"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()

    async def burst(queue):
        \"\"\"A thousand jobs at once, which a worker empties.\"\"\"
        for number in range(1000):
            queue.put_nowait(number)
        while not queue.empty():
            await queue.get()
            await asyncio.sleep(0.001)
        await asyncio.Event().wait()

    async def pool(queue):
        \"\"\"A pool of connections that fills, and stays as it is.\"\"\"
        for number in range(300):
            queue.put_nowait(number)
            await asyncio.sleep(0.001)
        await asyncio.Event().wait()

    async def bounded(queue):
        while True:
            await queue.put(b"x")

    async def slow_reader(child):
        while await child.stdout.read(1000):
            await asyncio.sleep(0.4)

    async def chatty():
        \"\"\"Its end is waited for in one task, its output is read slowly in another.\"\"\"
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHATTY, stdout=PIPE)
        reading = asyncio.create_task(slow_reader(child))
        await child.wait()

    async def waits_for(code):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        await child.wait()
        await asyncio.Event().wait()

    def from_threads(loop, queue):
        while True:
            time.sleep(0.003)
            loop.call_soon_threadsafe(queue.put_nowait, 1)

    async def taken(queue):
        while True:
            await queue.get()

    async def executor(loop):
        with ThreadPoolExecutor(4) as threads:
            while True:
                await asyncio.gather(*(loop.run_in_executor(threads, time.sleep, 0.01) for _ in range(4)))

    async def main():
        loop = asyncio.get_running_loop()
        cache, zombies = {{}}, [subprocess.Popen(["true"]) for _ in range(6)]
        server = await asyncio.start_server(sink, "127.0.0.1", 0)
        fed = asyncio.Queue()
        for _ in range(3):
            threading.Thread(target=from_threads, args=(loop, fed), daemon=True).start()
        works = [
            *(upload(server.sockets[0].getsockname()[1]), burst(asyncio.Queue()), pool(asyncio.Queue())),
            *(bounded(asyncio.Queue(300)), chatty(), waits_for(BUSY), waits_for(IDLE), taken(fed)),
            executor(loop),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        for number in range(30):
            cache[number % 20] = bytes(1 << 20)
            await asyncio.sleep(0.1)
        for zombie in zombies:
            zombie.wait()
        os._exit(0)

    asyncio.run(main())
"""


def found(seen: Outcome) -> list[Finding]:
    """What the rules of this room say of a program that was watched."""
    return [finding for finding in judged(seen).findings if finding.rule in RULES]


@pytest.mark.parametrize("version", EACH)
def test_the_lines_that_feed_a_transport_and_a_queue_and_that_wait_for_a_child_are_named(
    version: str, tmp_path: Path
) -> None:
    """A writer without drain, a queue without a limit, a child on a full pipe, and zombies."""
    seen = watched(TROUBLED, tmp_path, python=needs_python(version))
    findings = found(seen)

    blamed = {finding.line: finding.message for finding in findings if finding.level == Level.WARNING}
    lines = [line_of(text, TROUBLED) for text in ("# no drain", "# no limit", "# nobody reads")]
    assert {number for number in blamed if number is not None} == set(lines), findings
    assert "writes without drain" in blamed[lines[0]]
    assert "without maxsize" in blamed[lines[1]]
    assert "stderr" in blamed[lines[2]]
    assert "never waited for" in blamed[None]


@pytest.mark.long
def test_a_task_that_another_thread_makes_ready_is_named_with_the_call(tmp_path: Path) -> None:
    """The finding is at the line that calls from the thread, once that was seen again."""
    (finding,) = found(watched(WOKEN, tmp_path))

    assert finding.message.startswith("follow (program.py:")
    assert "Source.tell" in finding.message
    assert finding.line == line_of("# not from", WOKEN)
    assert finding.cost is not None
    assert finding.cost.amount > 0.2


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_program_that_works_has_none_of_these(loop: str, tmp_path: Path) -> None:
    """Drained uploads, bursts, pools, slow readers, long children, threads and executors stay clean."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    seen = watched(HEALTHY.format(uvloop=loop == "uvloop"), tmp_path)

    assert found(seen) == []
    assert seen.of(GaugesRead)
    assert seen.of(ChildStuck) == []
