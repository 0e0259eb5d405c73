"""`harness.watch_loop` on real loops: what it finds, what it leaves alone, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import harness
from harness import watching
from harness.read.blocks import detect as blocks_rule
from harness.read.blocks.block import Block
from harness.read.history import History
from harness.testing import NOBODYS_FAULT, LoopBlockedError, no_blocks
from harness.watching import Watch
from tests.support.watched import watched


def pause(held_s: float) -> None:
    time.sleep(held_s)


PAUSE_LINE = pause.__code__.co_firstlineno + 1


async def hold(held_s: float) -> None:
    await asyncio.sleep(0.01)
    pause(held_s)
    await asyncio.sleep(0.01)


def of_pause(blocks: tuple[Block, ...]) -> list[Block]:
    """The blocks of `pause`: a machine that is busy with something else adds others."""
    return [block for block in blocks if block.function == "pause"]


def of_code(blocks: tuple[Block, ...]) -> list[Block]:
    """The blocks that some code is to blame for."""
    return [block for block in blocks if block.cause not in NOBODYS_FAULT]


def descriptors() -> dict[str, str]:
    """The open ones, without the one by which they are listed."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def traces() -> dict[str, object]:
    """Everything in this process that a watch could leave something in."""
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "descriptors": descriptors(),
        "hooks": (asyncio._set_running_loop, asyncio.events._set_running_loop),
        "collector": list(gc.callbacks),
    }


@contextlib.contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="second")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_blocks_a_loop_is_named_with_its_place_task_length_and_victims() -> None:
    """A loop that begins to run inside the watch is watched, and its block is the one of a report."""

    async def main() -> None:
        waiting = asyncio.create_task(asyncio.sleep(0.02), name="victim")
        await asyncio.create_task(hold(0.2), name="worker")
        await waiting

    with harness.watch_loop(limit_ms=100) as watch:
        asyncio.run(main())

    (block,) = of_pause(watch.blocks)
    assert (block.function, block.file, block.line) == ("pause", __file__, PAUSE_LINE)
    assert (block.cause, block.task, block.coroutine, block.ended) == ("call", "worker", "hold", True)
    assert 195 < block.held_ms < 350
    assert [frame.function for frame in block.stack][-2:] == ["hold", "pause"]
    assert [victim.task for victim in block.victims] == ["victim"]


async def test_in_a_coroutine_the_running_loop_is_watched_from_there_on() -> None:
    """What was before does not count; the turn that goes on when the watch ends does."""
    pause(0.2)
    with harness.watch_loop(limit_ms=100) as watch:
        pause(0.15)

    (block,) = of_pause(watch.blocks)
    assert 145 < block.held_ms < 300
    assert block.line == PAUSE_LINE


def test_a_healthy_loop_has_no_blocks() -> None:
    """Waiting, short turns and work in threads are none."""

    async def main() -> None:
        await asyncio.sleep(0.15)
        await asyncio.to_thread(pause, 0.2)
        for _ in range(1000):
            await asyncio.sleep(0)

    with harness.watch_loop(limit_ms=100) as watch:
        asyncio.run(main())

    assert of_code(watch.blocks) == []


def test_blocks_below_the_limit_are_none() -> None:
    """The limit decides."""
    with harness.watch_loop(limit_ms=1000) as watch:
        asyncio.run(hold(0.2))

    assert of_code(watch.blocks) == []


def test_each_block_is_told_of_in_a_thread_that_is_not_the_loops() -> None:
    """`on_block` gets the values that `blocks` has, and may take its time."""
    told = []

    def on_block(block: Block) -> None:
        time.sleep(0.05)
        told.append((threading.current_thread(), block))

    async def main() -> None:
        await hold(0.3)
        await hold(0.3)

    with harness.watch_loop(100, on_block) as watch:
        asyncio.run(main())

    assert tuple(block for _, block in told) == watch.blocks
    assert len(of_pause(watch.blocks)) == 2
    assert threading.current_thread() not in {thread for thread, _ in told}


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_callback_that_raises_is_logged_once_by_its_name_and_dropped(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The loop does not notice, and the blocks are all there."""
    calls = []

    def careless(block: Block) -> None:
        calls.append(block)
        raise error("oh")

    async def main() -> str:
        await hold(0.3)
        await hold(0.3)
        return "done"

    with caplog.at_level(logging.INFO, "harness"), harness.watch_loop(100, careless) as watch:
        assert asyncio.run(main()) == "done"

    assert len(calls) == 1
    assert len(of_pause(watch.blocks)) == 2
    (logged,) = caplog.records
    assert "careless raised" in logged.getMessage()


def test_a_callback_may_read_the_blocks() -> None:
    """In the watch's own thread nothing is waited for."""
    counts = []
    with harness.watch_loop(100, lambda _: counts.append(len(watch.blocks))) as watch:
        asyncio.run(hold(0.3))

    assert counts[0] == 1


def test_a_watch_leaves_nothing_behind() -> None:
    """No thread, no descriptor, no replaced function; whether its loops are over or run on."""
    gc.collect()  # what other tests have left open is not to go meanwhile
    with loop_in_a_thread() as second:
        before = traces()
        with harness.watch_loop(limit_ms=100) as watch:
            asyncio.run(hold(0.3))
            asyncio.run_coroutine_threadsafe(hold(0.3), second).result()
            assert traces() != before

        assert traces() == before
        assert "select" not in vars(vars(second)["_selector"])
        assert len(of_pause(watch.blocks)) == 2


def test_a_watch_writes_no_file() -> None:
    """Nothing is opened for writing, nor mapped, while a watch finds a block."""
    program = """
        import asyncio, os, sys, time
        import harness
        harness.watch_loop()
        written = []

        def audit(event, args):
            if event == "open" and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR) or event == "mmap.__new__":
                written.append((event, str(args)))

        async def main():
            time.sleep(0.15)

        sys.addaudithook(audit)
        with harness.watch_loop(limit_ms=100) as watch:
            asyncio.run(main())
        assert watch.blocks
        print(written)
    """
    ran = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True)

    assert ran.stdout == "[]\n", ran.stderr


def test_nested_watches_see_each_by_its_own_limit() -> None:
    """The inner one ends first, and the outer one goes on."""

    async def main() -> Watch:
        with harness.watch_loop(limit_ms=50) as inner:
            await hold(0.15)
            await hold(0.55)
        await hold(0.65)
        return inner

    with harness.watch_loop(limit_ms=400) as outer:
        inner = asyncio.run(main())

    lengths = [[block.held_ms for block in of_pause(watch.blocks)] for watch in (inner, outer)]
    assert [[held_ms // 100 for held_ms in found] for found in lengths] == [[1, 5], [5, 6]]


async def test_watches_that_overlap_on_one_loop_do_not_disturb_each_other() -> None:
    """The one that came first may leave first; the selector is as it was when both have."""
    selector = vars(asyncio.get_running_loop())["_selector"]
    first, second = harness.watch_loop(limit_ms=100), harness.watch_loop(limit_ms=100)
    first.__enter__()
    second.__enter__()
    await hold(0.3)
    first.__exit__()
    await hold(0.3)
    second.__exit__()

    assert (len(of_pause(first.blocks)), len(of_pause(second.blocks))) == (1, 2)
    assert "select" not in vars(selector)
    await hold(0)


def test_watches_of_many_threads_come_and_go_in_any_order() -> None:
    """Each sees the loops of all, and the last one leaves everything as it was."""

    def work() -> None:
        for _ in range(3):
            with harness.watch_loop():
                asyncio.run(asyncio.sleep(0))

    gc.collect()  # what other tests have left open is not to go meanwhile
    before = traces()
    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert traces() == before


async def test_a_select_of_somebody_else_is_kept() -> None:
    """Whoever has replaced the selector's `select` before finds it there afterwards."""
    selector = vars(asyncio.get_running_loop())["_selector"]
    own, calls = selector.select, []

    def select(timeout: float | None = None) -> list[Any]:
        calls.append(timeout)
        ready: list[Any] = own(timeout)
        return ready

    selector.select = select
    try:
        with harness.watch_loop(limit_ms=100) as watch:
            await hold(0.3)

        assert selector.select is select
    finally:
        del selector.select
    assert calls
    assert len(of_pause(watch.blocks)) == 1


def test_a_loop_that_runs_in_another_thread_already_is_watched() -> None:
    """As one that a test's client has started for itself."""
    with loop_in_a_thread() as second, harness.watch_loop(limit_ms=100) as watch:
        asyncio.run_coroutine_threadsafe(hold(0.3), second).result()

    (block,) = of_pause(watch.blocks)
    assert (block.function, block.coroutine) == ("pause", "hold")


def test_a_block_that_outlasts_the_watch_is_there_as_unfinished() -> None:
    """The loop of another thread is still held when the watch ends: at least so long."""
    held, go_on = threading.Event(), threading.Event()

    async def stuck() -> None:
        held.set()
        go_on.wait()

    with loop_in_a_thread() as second:
        with harness.watch_loop(limit_ms=100) as watch:
            answer = asyncio.run_coroutine_threadsafe(stuck(), second)
            held.wait()
            time.sleep(0.3)
        go_on.set()
        answer.result()

    (block,) = [block for block in watch.blocks if not block.ended]
    assert (block.coroutine, block.ended) == (
        "test_a_block_that_outlasts_the_watch_is_there_as_unfinished.<locals>.stuck",
        False,
    )
    assert block.held_ms >= 100


def test_uvloops_loops_are_watched_and_its_class_is_given_back() -> None:
    """Also when uvloop was imported before, and so has kept the function that asyncio had then."""
    uvloop = pytest.importorskip("uvloop")
    before = dict(vars(uvloop.Loop))

    async def main() -> Watch:
        await hold(0.2)
        with harness.watch_loop(limit_ms=100) as inside:
            pause(0.2)
        return inside

    with (
        harness.watch_loop(limit_ms=100) as watch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        inside = runner.run(main())

    assert [block.line for block in of_pause(watch.blocks)] == [PAUSE_LINE, PAUSE_LINE]
    assert [block.line for block in of_pause(inside.blocks)] == [PAUSE_LINE]
    assert dict(vars(uvloop.Loop)) == before


def test_a_uvloop_that_runs_in_another_thread_is_found() -> None:
    """It has no frame of its own; whoever runs it refers to it."""
    uvloop = pytest.importorskip("uvloop")
    loop, ready = uvloop.new_event_loop(), threading.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.call_soon_threadsafe(ready.set)
    ready.wait()
    with harness.watch_loop(limit_ms=100) as watch:
        asyncio.run_coroutine_threadsafe(hold(0.2), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert [block.line for block in of_pause(watch.blocks)] == [PAUSE_LINE]


def test_only_the_latest_blocks_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may be watched for months."""
    monkeypatch.setattr(watching, "KEPT", 2)

    async def main() -> None:
        for held_s in (0.05, 0.1, 0.15):
            await hold(held_s)

    with harness.watch_loop(limit_ms=40) as watch:
        asyncio.run(main())

    assert watch.dropped >= 1
    assert len(watch.blocks) == 2
    assert max(block.held_ms for block in watch.blocks) > 145


@pytest.mark.parametrize("limit_ms", [0, -5, 0.5, float("nan"), float("inf")])
def test_a_limit_out_of_range_is_refused(limit_ms: float) -> None:
    """With what was expected, and what came."""
    with pytest.raises(ValueError, match=f"at least 1, got {limit_ms}"):
        harness.watch_loop(limit_ms=limit_ms)


def test_a_python_without_the_gil_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that cannot be watched must not pass as one without blocks."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    with pytest.raises(RuntimeError, match="without the GIL"), harness.watch_loop():
        pass


def test_a_watch_is_entered_once() -> None:
    """Its blocks are those of one stretch of time."""
    with harness.watch_loop() as watch:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        watch.__enter__()


def test_a_forked_child_goes_its_own_way() -> None:
    """The child's loops are not the watch's, and the parent sees what it would see without the child."""
    program = """
        import asyncio, os, time
        import harness

        def pause(held_s):
            time.sleep(held_s)

        async def hold(held_s):
            await asyncio.sleep(0.01)
            pause(held_s)

        with harness.watch_loop(limit_ms=100) as watch:
            asyncio.run(hold(0.3))
            child = os.fork()
            if child == 0:
                asyncio.run(hold(0.3))
            else:
                _, status = os.waitpid(child, 0)
                asyncio.run(hold(0.3))
        if child == 0:
            os._exit(hasattr(asyncio._set_running_loop, "__code__"))
        print(status, [block.function for block in watch.blocks if block.cause == "call"])
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(program)], capture_output=True, text=True
    )

    assert ran.stdout == "0 ['pause', 'pause']\n", ran.stderr


def test_a_fork_within_a_loop_leaves_it_watched() -> None:
    """asyncio tells the child first that no loop runs there; that is not said of the parent's."""
    program = """
        import asyncio, os, time
        import harness

        def pause(held_s):
            time.sleep(held_s)

        async def main():
            with harness.watch_loop(limit_ms=100) as watch:
                if not (child := os.fork()):
                    os._exit(0)
                os.waitpid(child, 0)
                await asyncio.sleep(0.01)
                pause(0.3)
                await asyncio.sleep(0.01)
            print([block.function for block in watch.blocks if block.cause == "call"])

        asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(program)], capture_output=True, text=True
    )

    assert (ran.stdout, ran.stderr) == ("['pause']\n", "")


def test_a_watch_works_beside_the_probe_of_harness_watch(tmp_path: Path) -> None:
    """Both find the same blocks, also those after the watch has left a loop that runs on."""
    program = """
        import asyncio, json, time
        from harness import watch_loop

        def pause(held_s):
            time.sleep(held_s)

        async def main():
            await asyncio.sleep(0.01)
            with watch_loop(limit_ms=50) as watch:
                await asyncio.sleep(0.01)
                pause(0.3)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            pause(0.4)
            await asyncio.sleep(0.01)
            return watch

        watch = asyncio.run(main())
        print(json.dumps([block.held_ms for block in watch.blocks if block.function == "pause"]))
    """
    seen = watched(program, tmp_path)

    assert seen.status == 0, seen.stderr
    (held_ms,) = seen.said
    looks = [{frame.function for look in block.samples for frame in look.stack} for block in seen.blocks]
    of_probe_ms = [
        block.held_ns / 1e6 for block, seen_in in zip(seen.blocks, looks, strict=True) if "pause" in seen_in
    ]
    # The first look at a turn may come late on a busy machine, and what was before it is not the function's.
    assert len(of_probe_ms) == 2
    for found_ms, asked_ms in zip((held_ms, *of_probe_ms), (300, 300, 400), strict=True):
        assert found_ms > asked_ms * 0.8


def test_no_blocks_fails_in_any_framework_with_what_held_the_loop() -> None:
    """As an `AssertionError` that carries the blocks."""
    with pytest.raises(LoopBlockedError) as raised, no_blocks(limit_ms=100):
        asyncio.run(hold(0.3))

    (block,) = raised.value.blocks
    first, *rest = str(raised.value).splitlines()
    assert first.startswith("pause held the event loop for ")
    assert first.endswith("(limit 100 ms): waiting in a call")
    assert any(line.strip() == f"at {os.path.relpath(__file__)}:{PAUSE_LINE}" for line in rest)
    assert isinstance(raised.value, AssertionError)
    assert block.function == "pause"


def test_a_turn_that_cannot_be_judged_is_counted_and_passes_no_test(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The turns after it are judged, and the error is logged once."""
    judge, turns = blocks_rule.blocks, []

    def blocks(seen: History) -> tuple[Block, ...]:
        turns.append(seen)
        if len(turns) == 1:
            raise StopIteration
        return judge(seen)

    async def main() -> None:
        await hold(0.3)
        await hold(0.3)

    monkeypatch.setattr(blocks_rule, "blocks", blocks)
    with harness.watch_loop(100) as watch:
        asyncio.run(main())
    assert (len(of_pause(watch.blocks)), watch.dropped, watch.failed) == (1, 1, ("judge",))
    assert [record.getMessage() for record in caplog.records] == [
        "watch_loop failed in its part 'judge': StopIteration()"
    ]

    turns.clear()
    with pytest.raises(RuntimeError, match="blocks may be missing: judge failed"), no_blocks(100):
        asyncio.run(hold(0.3))


def test_no_blocks_lets_another_error_travel_on_with_a_note() -> None:
    """The error that came first is the one to see."""

    async def main() -> None:
        await hold(0.3)
        raise KeyError("other")

    with pytest.raises(KeyError) as raised, no_blocks(limit_ms=100):
        asyncio.run(main())

    (note,) = raised.value.__notes__
    assert note.startswith("pause held the event loop")


def test_no_blocks_passes_where_nothing_blocks() -> None:
    """And hands out its watch."""
    with no_blocks(limit_ms=1000) as watch:
        asyncio.run(hold(0.1))

    assert of_code(watch.blocks) == []
