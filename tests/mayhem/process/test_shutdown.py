"""Signals are handled while the loop is blocked: drain, cut short, and the stack dump."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.mayhem.operations.tracing import span
from harness.mayhem.process.shutdown import Shutdown
from harness.mayhem.process.signal_handler import signal_handlers
from harness.mayhem.process.stack_dump import CHAINS, NAMES, stack_dump

PATIENCE_S = 20


class Ending:
    """Records what a shutdown asks for, in order."""

    def __init__(self, *, drain_s: float) -> None:
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        self.shutdown = Shutdown(lambda: self.asked.put_nowait("cut"), drain_s=drain_s)

    def ready(self) -> Shutdown:
        self.shutdown.drain_by(lambda: self.asked.put_nowait("drain"))
        return self.shutdown

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return str(await self.asked.get())


# --- signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sleeping", "busy"])
def test_a_signal_is_heard_while_the_main_thread_is_held(how: str) -> None:
    """The handler runs at once, in its own thread."""
    came = threading.Event()
    threads: list[threading.Thread] = []

    def handler() -> None:
        threads.append(threading.current_thread())
        came.set()

    with signal_handlers({signal.SIGUSR1: handler}):
        os.kill(os.getpid(), signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE_S
        while not came.is_set() and time.monotonic() < deadline:
            if how == "sleeping":
                came.wait(PATIENCE_S)

    assert came.is_set()
    assert threading.main_thread() not in threads


def test_afterwards_signals_are_the_programs_again(caplog: pytest.LogCaptureFixture) -> None:
    """Afterwards, handlers, the wakeup descriptor and threads are as before, even after a handler raised.

    What it raised is logged with its signal, and the next signal is handled.
    """
    before = signal.getsignal(signal.SIGUSR1), threading.active_count(), len(os.listdir("/proc/self/fd"))
    raised = threading.Event()

    def handler() -> None:
        raised.set()
        raise ValueError("a handler's own")

    with signal_handlers({signal.SIGUSR1: handler, signal.SIGUSR2: raised.clear}):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert raised.wait(PATIENCE_S)
        os.kill(os.getpid(), signal.SIGUSR2)
        while raised.is_set():
            time.sleep(0.001)

    assert signal.set_wakeup_fd(-1) == -1
    after = signal.getsignal(signal.SIGUSR1), threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert after == before
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["signal"]) == ("signal not handled", "User defined signal 1")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a handler's own"


def test_children_do_not_inherit_anything() -> None:
    """A child process inherits no blocked or ignored signals."""
    with signal_handlers({signal.SIGTERM: lambda: None}):
        program = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(15))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.stdout == "set() 0\n"


# --- the order of the end -----------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_first_signal_drains_and_second_cuts(signum: signal.Signals) -> None:
    """The first signal drains, the second cuts the drain short."""
    ending = Ending(drain_s=PATIENCE_S * 2)
    with ending.ready() as shutdown, signal_handlers({signum: lambda: shutdown.ask_from_thread("a test")}):
        os.kill(os.getpid(), signum)
        assert await ending.next() == "drain"
        assert not shutdown.was_cut
        os.kill(os.getpid(), signum)
        assert await ending.next() == "cut"

    assert shutdown.was_cut


async def test_deadline_cuts_once(caplog: pytest.LogCaptureFixture) -> None:
    """A drain beyond its deadline is cut short, with a dump; further requests change nothing."""
    ending = Ending(drain_s=0.01)
    with ending.ready() as shutdown:
        shutdown.ask("a test")
        assert [await ending.next(), await ending.next()] == ["drain", "cut"]
        shutdown.ask("again")

    assert ending.asked.empty()
    missed, cut = (record.getMessage() for record in caplog.records)
    assert missed.startswith("not drained in time\nthread ")
    assert f"  {__file__}:" in missed
    assert cut == "drain cut short"


async def test_deadline_ends_with_the_service() -> None:
    """A drain that ends in time is not cut later, and leaves no thread."""
    ending = Ending(drain_s=0.01)
    with ending.ready() as shutdown:
        shutdown.ask_from_thread("a test")
        assert await ending.next() == "drain"
    # No race: a loop's timers fire in the order in which they are due, so the deadline would be first.
    await asyncio.sleep(0.05)

    assert not shutdown.was_cut
    for thread in threading.enumerate():
        if thread.name == "mayhem-last-resort":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


async def test_before_there_is_anything_to_finish_the_end_is_a_cut() -> None:
    """A request during startup ends the service, and is not a failure."""
    ending = Ending(drain_s=PATIENCE_S)
    with ending.shutdown as shutdown:
        shutdown.ask("a test")
        shutdown.ask("again")

    assert await ending.next() == "cut"
    assert ending.asked.empty()
    assert not shutdown.was_cut


# --- the dump -----------------------------------------------------------------------------------------


@asynccontextmanager
async def gate() -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


async def inner() -> None:
    async with gate():
        pass


async def test_a_dump_shows_what_awaits_what(spans: InMemorySpanExporter) -> None:
    """The dump has each task's chain of awaits, innermost last, and its trace."""
    loop = asyncio.get_running_loop()
    with span("outer") as outer:
        tasks = [asyncio.create_task(inner(), name=f"waiting {number:03d}") for number in range(300)]
    await asyncio.sleep(0)
    text = await asyncio.to_thread(stack_dump, loop)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    trace = f"(trace {outer.get_span_context().trace_id:032x})"
    named = ", ".join(f"waiting {number:03d} {trace}" for number in range(NAMES))
    lines = text.splitlines()
    start = lines.index(f"task {named} and {300 - NAMES} more:")
    functions = [line.rpartition(" ")[2] for line in lines[start + 1 : start + 5]]
    assert functions == ["inner", "__aenter__", "gate", "wait"]
    assert f"{__file__}:" in lines[start + 1]
    assert any(line.endswith(" test_a_dump_shows_what_awaits_what") for line in lines)


async def test_a_dump_is_bounded() -> None:
    """Tasks beyond the limit are counted, and deep recursion is cut at its outer end."""
    source = "async def place(event): await event.wait()"
    event, tasks = asyncio.Event(), []
    for number in range(CHAINS + 10):
        names: dict[Any, Any] = {}
        exec(compile(source, f"place-{number}.py", "exec"), names)
        tasks.append(asyncio.create_task(names["place"](event)))
    await asyncio.sleep(0)
    text = stack_dump(asyncio.get_running_loop())
    event.set()
    await asyncio.wait(tasks)

    assert text.splitlines()[-1].startswith("left out: 11 places with 11 tasks")
    assert len(text.splitlines()) < 10 * CHAINS


def test_a_dump_names_the_line_that_holds_the_loop() -> None:
    """A dump from another thread shows where the loop's thread is."""
    found = []

    async def hold() -> None:
        loop = asyncio.get_running_loop()
        holding = threading.Event()

        def look() -> None:
            holding.wait()
            found.append(stack_dump(loop))

        looking = threading.Thread(target=look)
        looking.start()
        holding.set()
        looking.join()  # blocks the loop

    asyncio.run(hold())
    lines = found[0].splitlines()
    (main,) = [number for number, line in enumerate(lines) if line == "thread MainThread:"]
    end = next(n for n in range(main + 1, len(lines)) if not lines[n].startswith(" "))

    assert [line for line in lines[main:end] if line.startswith(f"  {__file__}:") and line.endswith(" hold")]
