"""Programs that the console's commands read: tasks that wait, block, deadlock and go wrong; and spans."""

from __future__ import annotations

from typing import Any

from tests.support.commanded import wait
from tests.support.consoled import Consoled, is_alive

LOOPS = ["asyncio", "uvloop"]

# `start` makes tasks by name, `drop` cancels them all; each test begins and ends with none.
TASKS = '''
    import asyncio, gc, os, sys, threading, time
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    tasks, kept, own_run = {}, {}, asyncio.Handle._run

    def start(**coroutines):
        for name, coroutine in coroutines.items():
            tasks[name] = asyncio.create_task(coroutine, name=name.replace("_", "-"))

    def drop():
        for task in tasks.values():
            task.cancel()
        tasks.clear()
        kept.clear()

    def nap(seconds):
        time.sleep(seconds)  # naps

    async def sleep_long():
        await asyncio.sleep(3600)  # sleeps

    async def block(seconds):
        nap(seconds)  # blocks

    async def items(queue):
        while True:
            yield await queue.get()  # gets

    async def consume(queue):
        async for _ in items(queue):  # iterates
            pass

    async def produce(queue):
        while True:
            await queue.put(1)  # puts

    async def together(*coroutines):
        await asyncio.gather(*coroutines)  # gathers

    async def grouped(number):
        async with asyncio.TaskGroup() as group:
            for n in range(number):
                group.create_task(sleep_long(), name=f"child-{n}")

    async def guarded(*locks, then=sleep_long):
        if not locks:
            return await then()
        async with locks[0]:
            await asyncio.sleep(0.02)
            await guarded(*locks[1:], then=then)  # guards

    async def acquire(lock):
        await lock.acquire()
        await sleep_long()

    async def follow(name):
        while name not in tasks:
            await asyncio.sleep(0)
        await tasks[name]  # follows

    async def burn(seconds, pause):
        while True:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(pause)

    async def spin(pause):
        while True:
            await asyncio.sleep(pause)

    async def spawn():
        while True:
            await asyncio.create_task(asyncio.sleep(0))

    async def forsaken():
        await asyncio.get_running_loop().create_future()

    async def hopeful():
        kept["future"] = asyncio.get_running_loop().create_future()
        await kept["future"]

    async def queue_of_its_own():
        await asyncio.Queue().get()

    async def limited():
        async with asyncio.timeout(3600):
            await forsaken()

    async def fail():
        raise ValueError("no such host")

    async def ignore():
        try:
            await sleep_long()
        except asyncio.CancelledError:
            return 1

    # As another tool that counts steps.
    THEIRS = """if True:
        below, kept["calls"] = asyncio.Handle._run, 0
        def _run(self):
            kept["calls"] += 1
            below(self)
        asyncio.Handle._run = _run
    """

    async def read_line():
        server = await asyncio.start_server(lambda *streams: kept.update(streams=streams), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await reader.readline()  # reads
        finally:
            writer.close()
            server.close()

    async def main():
        loop = asyncio.get_running_loop()
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                exec(line)
            except Exception as exc:
                print(repr(exc), flush=True)

    RUN
'''

TRACED = """
    import asyncio, sys, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    tracer = trace.get_tracer("shop")

    async def quick():
        with tracer.start_as_current_span("quick"):
            await asyncio.sleep(0)

    async def slow():
        with tracer.start_as_current_span("order"):
            with tracer.start_as_current_span("pay"):
                time.sleep(0.3)
            with tracer.start_as_current_span("ship"):
                await asyncio.sleep(3600)  # ships

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await quick()
        task = asyncio.create_task(slow(), name="slow")
        await asyncio.sleep(0)
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line)

    RUN
"""


def marked_place(program: Consoled, mark: str) -> str:
    """``program.py:N``: the program's line with that comment."""
    number = next(n for n, line in enumerate(program.lines, start=1) if f"# {mark}" in line)
    return f"program.py:{number}"


def rows(program: Consoled, line: str) -> list[dict[str, Any]]:
    """All rows of a command."""
    found: list[dict[str, Any]] = program.ask(f"{line} --json --limit 0")["rows"]
    return found


def row(program: Consoled, name: str, command: str = "ps") -> dict[str, Any]:
    """The row of the task with that name, once there is one."""
    return wait(lambda: [one for one in rows(program, command) if one["task"].strip() == name])[0]


def settled(program: Consoled, *names: str) -> None:
    """Wait until each of these tasks waits for something."""
    for name in names:
        wait(lambda: row(program, name)["state"] == "waiting")  # noqa: B023


def refused(program: Consoled, line: str) -> str:
    """The reason for which a line was refused."""
    answer = program.request(line)
    assert answer["status"] == "refused", answer
    return str(answer["text"])


def done(program: Consoled, statement: str) -> None:
    """Execute a statement in the program, and wait until it is done."""
    program.do(statement)
    assert is_alive(program)


def blocked(program: Consoled, statement: str) -> list[dict[str, Any]]:
    """Execute a statement that blocks the program's loop; return the late loops as soon as it does."""
    program.do(statement)
    # Other functions may also be late on a crowded machine.
    return wait(lambda: [one for one in program.ask("status --json")["late"] if one["function"] == "nap"])
