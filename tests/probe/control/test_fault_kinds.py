"""What each kind of fault does to the process that calls; of none anything is left when it is undone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.probe.control.faults import FaultInjector
from harness.record.fault import catalogue


def work() -> str:
    """The function that misbehaves."""
    return "done"


OWN = work.__code__
PLACE = f"{__name__}:work"


def state() -> dict[str, object]:
    """What a fault might leave behind: threads, descriptors, tasks, signal handlers, the function itself."""
    gc.collect()  # what earlier tests have left may still hold descriptors
    loop = asyncio._get_running_loop()
    return {
        "code": work.__code__ is OWN,
        "threads": {thread.ident for thread in threading.enumerate()},
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": asyncio.all_tasks(loop) if loop is not None else None,
        "handlers": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)],
        "collects": (gc.isenabled(), gc.get_threshold()),
    }


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@contextmanager
def faulty(
    kind: str, about: dict[str, object] | None = None, **parameters: object
) -> Iterator[SimpleNamespace]:
    """The fault is in force inside of the block; gives what it has done, once the block is over."""
    errors: list[object] = []
    faults = FaultInjector(lambda _: None, on_error=lambda *about: errors.append(about))
    done = SimpleNamespace(fired=0, calls=0)
    faults.inject(request := {"id": "one", "kind": kind, "in": PLACE, **parameters, **(about or {})})
    try:
        yield done
    finally:
        vars(done).update(faults.heal(request))
        assert errors == []


async def settled(before: dict[str, object]) -> None:
    """Return when everything is as before; what a fault took is given back in other threads."""
    deadline_s = time.monotonic() + 10
    while (after := state()) != before:
        if time.monotonic() > deadline_s:
            assert after == before
        await asyncio.sleep(0.01)


async def serve(number: int) -> int:
    """A coroutine function that misbehaves."""
    await asyncio.sleep(0)
    return number


async def test_a_delayed_call_waits_while_the_loop_goes_on() -> None:
    """Beside another fault in the same function; one that cannot await is refused."""
    place, before = f"{__name__}:serve", state()
    with (
        faulty("call.delay", {"in": place, "limit": 2}, delay_ms=200.0) as delay,
        faulty("block.sleep", {"in": place, "id": "two"}, block_ms=1.0) as block,
    ):
        began_s = time.monotonic()
        numbers = await asyncio.gather(*map(serve, range(5)))
        took_s = time.monotonic() - began_s
        assert numbers == [0, 1, 2, 3, 4]
        assert 0.2 <= took_s < 0.39  # those of both that are hit wait at the same time
        began_s = time.monotonic()
        assert await serve(5) == 5
        assert time.monotonic() - began_s < 0.15
    assert await serve(6) == 6

    assert (delay.calls, delay.fired) == (6, 2)
    assert (block.calls, block.fired) == (6, 6)
    with pytest.raises(TypeError, match="work is no coroutine function"), faulty("call.delay", delay_ms=1.0):
        pass
    await settled(before)


async def test_a_call_in_c_keeps_the_gil() -> None:
    """No other thread runs meanwhile."""
    ticks: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    before = state()
    thread = threading.Thread(target=tick)
    thread.start()
    with faulty("block.gil_c", block_ms=300.0) as done:
        began_s = time.monotonic()
        assert work() == "done"
        ended_s = time.monotonic()
    over.set()
    thread.join()

    assert ended_s - began_s >= 0.3
    # The thread's first step after the call may come a moment before this one's next.
    assert [at_s for at_s in ticks if began_s + 0.05 < at_s < ended_s - 0.05] == []
    assert done.fired == 1
    await settled(before)


async def test_a_slow_callback_holds_the_loop_after_the_call() -> None:
    """The call itself returns at once."""
    before = state()
    with faulty("loop.slow_callback", block_ms=200.0) as done:
        began_s = time.monotonic()
        work()
        called_s = time.monotonic() - began_s
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        turned_s = time.monotonic() - began_s
    work()

    assert called_s < 0.1
    assert turned_s >= 0.2
    assert done.fired == 1
    await settled(before)


async def test_a_flood_makes_that_many_callbacks_ready() -> None:
    """They are the loop's own: each runs once."""
    before = state()
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    with faulty("loop.ready_flood", callbacks=5_000) as done:
        had = len(ready)
        work()
        has = len(ready)
    await asyncio.sleep(0)

    assert (has - had, done.fired) == (5_000, 1)
    await settled(before)


async def test_the_task_that_calls_is_cancelled_at_its_next_await() -> None:
    """The call itself still returns; a call of no task is not hit."""
    seen: list[str] = []

    async def saves() -> None:
        seen.append(work())
        await asyncio.sleep(0)
        seen.append("saved")

    before = state()
    with faulty("task.cancel") as done:
        asyncio.get_running_loop().call_soon(work)
        await asyncio.sleep(0)
        task = asyncio.create_task(saves())
        await asyncio.wait([task])

    assert task.cancelled()
    assert seen == ["done"]
    assert (done.calls, done.fired) == (2, 1)
    del task
    await settled(before)


async def test_leaked_tasks_wait_until_the_fault_is_undone() -> None:
    """In a thread without a loop, the call is not hit."""
    before = state()
    with faulty("task.leak") as done:
        for _ in range(3):
            work()
        await asyncio.to_thread(work)
        await asyncio.sleep(0.05)
        leaked = asyncio.all_tasks() - before["tasks"]  # type: ignore[operator]
        assert len(leaked) == 3
        assert not any(task.done() for task in leaked)
    del leaked
    await asyncio.get_running_loop().shutdown_default_executor()

    assert (done.calls, done.fired) == (4, 3)
    await settled(before)


async def test_a_coroutine_that_nobody_awaits_is_warned_of() -> None:
    """As Python does for one of the program's own."""
    before = state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with faulty("task.never_awaited"):
            work()
        gc.collect()

    assert ["never awaited" in str(each.message) for each in caught] == [True]
    await settled(before)


async def test_every_thread_of_the_executor_is_held_and_let_go() -> None:
    """A call stands in the queue until the time is over, or the fault is undone."""
    loop, before = asyncio.get_running_loop(), state()
    with faulty("pool.executor_exhaust", hold_ms=60_000.0) as done:
        work()
        waiting = loop.run_in_executor(None, work)
        await asyncio.sleep(0.1)
        stood = not waiting.done()
    assert await asyncio.wait_for(waiting, 10) == "done"
    await loop.shutdown_default_executor()

    assert stood
    assert done.fired == 1
    await settled(before)


@pytest.mark.parametrize("left", [0, 3])
async def test_no_more_descriptors_than_that_are_left(left: int) -> None:
    """Until the fault is undone."""
    before = state()
    opened: list[int] = []
    with faulty("pool.fd_exhaust", left=left) as done:
        work()
        with suppress(OSError):
            while len(opened) < 10:
                opened.append(os.open(os.devnull, os.O_RDONLY))
    for number in opened:
        os.close(number)

    assert (len(opened), done.fired) == (left, 1)
    await settled(before)


async def test_memory_is_really_taken_and_given_back() -> None:
    """Resident, and not only reserved."""
    before, before_mb = state(), resident_mb()
    with faulty("pool.memory", size_mb=100.0):
        work()
        grown_mb = resident_mb() - before_mb
    left_mb = resident_mb() - before_mb

    assert grown_mb >= 90
    assert left_mb <= 20
    await settled(before)


async def test_a_collection_pauses_the_program() -> None:
    """It finds what the fault has made; the program's own settings stay."""
    found: list[int] = []

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            found.append(info["collected"])

    before = state()
    gc.callbacks.append(collected)
    gc.disable()
    try:
        with faulty("pool.gc_pause", objects=20_000):
            work()
    finally:
        gc.callbacks.remove(collected)
        gc.enable()

    assert max(found) >= 19_999  # the last one may still be held by a variable
    await settled(before)


async def test_a_signal_arrives_at_the_call() -> None:
    """Its handler runs before the body of the function does; a name that is no signal is refused."""
    seen: list[str] = []
    own = signal.signal(signal.SIGUSR1, lambda *_: seen.append("signal"))
    before = state()
    try:
        with faulty("process.signal", signal="SIGUSR1"):
            seen.append(work())
        await settled(before)
    finally:
        signal.signal(signal.SIGUSR1, own)
    assert seen == ["signal", "done"]

    with pytest.raises(TypeError, match="SIGNONE is no signal"), faulty("process.signal", signal="SIGNONE"):
        pass


def test_every_kind_says_what_it_shows() -> None:
    """In the catalogue, for people."""
    for name in catalogue.names():
        kind = catalogue.find(name)
        assert kind.shows
        assert kind.__doc__


def test_a_child_after_a_fork_gives_back_what_is_its_own() -> None:
    """Its memory and descriptors; the tasks belong to the parent's loop, which is not woken."""

    async def main() -> tuple[int, int]:
        faults = FaultInjector(lambda _: None, on_error=lambda *_: None)
        faults.inject({"id": "fd", "kind": "pool.fd_exhaust", "in": PLACE, "left": 2})
        faults.inject({"id": "task", "kind": "task.leak", "in": PLACE})
        work()
        await asyncio.sleep(0)
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if not child:
            status = 9
            with suppress(BaseException):
                faults.heal_all()
                os.close(os.open(os.devnull, os.O_RDONLY))
                status = 0
            os._exit(status)
        os.close(reading)
        os.close(writing)
        _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, child, 0)
        leaked = len(asyncio.all_tasks())
        faults.heal_all()
        return status, leaked

    assert asyncio.run(main()) == (0, 2)
