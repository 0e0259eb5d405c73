"""The exact borders of the detector: the limit, which turn a block is, whom it delayed, what is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from harness.probe.loop import victims, watchdog
from harness.probe.loop.blocks import BlockWriter
from harness.probe.loop.turns import Turns
from harness.probe.loop.victims import DelayedCallbacks
from harness.probe.loop.watch import LoopWatch
from harness.record import page
from harness.record.observation import CADENCE, Blocked, Cadence, Observation
from harness.stacks.cause import Cause
from harness.stacks.diagnosis import diagnose
from harness.stacks.ownership import CodeOwnership
from tests.support.watched import LIMIT_MS, watched

MS = 1_000_000


def nothing() -> None:
    pass


def longest_turn(main: Coroutine[Any, Any, None]) -> Blocked:
    """The longest late turn of a loop that runs *main*."""
    seen: list[Observation] = []
    failed: list[BaseException] = []
    watch = LoopWatch(
        None, limit_ns=LIMIT_MS * MS, write=seen.append, on_error=lambda _, error: failed.append(error)
    )
    watch.begin()
    try:
        asyncio.run(main)
    finally:
        watch.end()
    assert failed == []
    return max((e for e in seen if isinstance(e, Blocked) and e.ended), key=lambda turn: turn.held_ns)


@pytest.mark.parametrize(("short_ns", "is_late"), [(0, True), (1, False)])
def test_a_turn_is_late_from_the_limit_on(short_ns: int, is_late: bool) -> None:
    """To the nanosecond."""
    late: list[tuple[int, int]] = []
    words = memoryview(bytearray(page.WORDS * 8)).cast("q")
    turns = Turns(
        words,
        limit_ns=50 * MS,
        on_late=lambda began_ns, ended_ns: late.append((began_ns, ended_ns)),
        on_overslept=lambda due_ns, woke_ns: None,
    )

    turns.count(0, 50 * MS - short_ns)

    assert late == ([(0, 50 * MS)] if is_late else [])
    assert words[page.BLOCKS] == is_late


@pytest.mark.parametrize("step", ["overslept", "ended"])
def test_an_error_of_the_probe_at_a_late_turn_does_not_reach_the_loop(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Neither when the loop wakes up late nor when the turn ends; it is reported, and the loop goes on."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError(step)

    async def main() -> str:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        loop.call_later(0.01, woken.set_result, "woken")
        turns = watch.loops.running()[0][1]
        due_ns = time.monotonic_ns()
        turns.woke_late(due_ns, due_ns + 60 * MS)
        time.sleep(LIMIT_MS / 1000 + 0.01)
        return str(await woken)

    failed: list[tuple[str, str]] = []
    watch = LoopWatch(
        None,
        limit_ns=LIMIT_MS * MS,
        write=lambda event: None,
        on_error=lambda where, error: failed.append((where, str(error))),
    )
    watch.begin()
    try:
        monkeypatch.setattr(BlockWriter, step, fail)
        assert asyncio.run(main()) == "woken"
    finally:
        watch.end()

    assert ("blocks", step) in failed


def test_a_turn_that_was_looked_at_and_ended_in_time_is_no_part_of_the_next_block(tmp_path: Path) -> None:
    """It took more than half of the limit, so the watchdog has seen it; the late turn came much later."""
    program = """
        import asyncio, time

        async def main():
            await asyncio.sleep(0.02)
            time.sleep(0.035)
            await asyncio.sleep(0.6)
            time.sleep(0.15)

        asyncio.run(main())
    """
    late = watched(program, tmp_path).blocks

    longest = max(late, key=lambda block: block.held_ns)
    assert 0.14e9 < longest.held_ns < 0.5e9
    assert all(sample.first_ns >= longest.at_ns for sample in longest.samples)


def test_a_victim_waits_from_when_it_was_due(tmp_path: Path) -> None:
    """Three timers are due in the middle of a block, one long after it: half of the block each, and three."""
    program = """
        import asyncio, time

        async def main():
            waiting = [asyncio.create_task(asyncio.sleep(0.2), name=f"victim-{n}") for n in range(3)]
            waiting.append(asyncio.create_task(asyncio.sleep(2), name="later"))
            await asyncio.sleep(0)
            time.sleep(0.4)
            await asyncio.wait(waiting[:3])

        asyncio.run(main())
    """
    (block,) = watched(program, tmp_path).blocks

    assert block.victims_total == 3
    assert sorted(victim.label for victim in block.victims) == ["victim-0", "victim-1", "victim-2"]
    for victim in block.victims:
        assert block.held_ns - 205 * MS < victim.delayed_ns < block.held_ns - 100 * MS


def test_a_collection_of_a_large_heap_is_seen(tmp_path: Path) -> None:
    """The collector's own word, in a real program: the block is its, and the pause has its length."""
    program = """
        import asyncio, gc

        gc.disable()
        heap = [[[n]] for n in range(800_000)]

        async def tidy():
            gc.collect()

        async def main():
            await asyncio.sleep(0.02)
            await asyncio.create_task(tidy(), name="tidy")
            await asyncio.sleep(0.02)

        asyncio.run(main())
    """
    ended = [turn for turn in watched(program, tmp_path).of(Blocked) if turn.ended]
    block = max(ended, key=lambda turn: turn.held_ns)

    (pause,) = block.pauses
    assert pause.generation == 2
    assert block.held_ns * 2 / 3 <= pause.held_ns <= block.held_ns
    (found,) = diagnose(block, CodeOwnership(application=(str(tmp_path),)), limit_ns=LIMIT_MS * MS)
    assert (found.cause, found.leaf) == (Cause.GC, "collection of generation 2")
    assert found.collected_ns == pause.held_ns


def test_the_number_of_different_samples_of_one_block_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further ones are merged, and still counted."""
    monkeypatch.setattr(watchdog, "KEPT", 8)
    monkeypatch.setattr(watchdog, "CADENCE", Cadence(every_ns=MS))

    def dive(depth: int) -> None:
        if depth:
            time.sleep(0.002)
            dive(depth - 1)

    async def main() -> None:
        await asyncio.sleep(0.02)
        dive(150)

    turn = longest_turn(main())
    assert len(turn.samples) <= 8
    assert sum(sample.count for sample in turn.samples) > 12


def test_equal_samples_of_one_block_are_one() -> None:
    """With their number and the times of the first and the last."""

    async def main() -> None:
        await asyncio.sleep(0.02)
        time.sleep(0.5)

    turn = longest_turn(main())
    most = max(turn.samples, key=lambda sample: sample.count)
    assert len(turn.samples) <= 3  # the first and the last may be of other lines
    assert most.count > 10
    assert most.last_ns - most.first_ns > 100 * MS


def test_a_long_block_is_sampled_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of what an even rate would take, and an hour has a bounded number."""
    monkeypatch.setattr(watchdog, "CADENCE", Cadence(every_ns=MS, dense_ns=40 * MS, thinning=2))

    async def main() -> None:
        await asyncio.sleep(0.02)
        time.sleep(0.8)

    turn = longest_turn(main())
    assert 4 <= sum(sample.count for sample in turn.samples) < 100
    late_ns, samples = 0, 0
    while late_ns < 3_600_000_000_000:
        late_ns, samples = late_ns + CADENCE.gap_ns(late_ns), samples + 1
    assert samples < 2_000


def test_timers_that_are_due_never_or_always_are_looked_at() -> None:
    """Both are infinite times, which `call_at` accepts; the one in the past has waited for the whole turn."""
    loop = asyncio.new_event_loop()
    try:
        loop.call_at(float("inf"), nothing)
        loop.call_at(float("-inf"), nothing)
        waiting = DelayedCallbacks()
        waiting.scan_timers(loop, 1_000 * MS)
        named, total = waiting.victims(900 * MS, 1_000 * MS, least_ns=MS)
    finally:
        loop.close()

    assert total == 1
    assert [victim.delayed_ns for victim in named] == [100 * MS]


def test_a_long_ready_queue_is_looked_at_in_part() -> None:
    """Looking at a hundred thousand callbacks would itself be a block."""
    loop = asyncio.new_event_loop()
    try:
        for _ in range(5 * victims.MOST_CALLBACKS):
            loop.call_soon(nothing)
        waiting = DelayedCallbacks()
        waiting.scan_ready(loop, 0)
        named, total = waiting.victims(0, 100 * MS, least_ns=MS)
    finally:
        loop.close()

    assert total == victims.MOST_CALLBACKS
    assert [victim.label for victim in named] == ["nothing"]
