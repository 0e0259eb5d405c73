"""Loops that are not asyncio's own, or whose selector is not: they are watched by other means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import LoopStarted
from tests.support.watched import watched

PROGRAM = """
    import asyncio, json, selectors, time

    def pause(seconds):
        time.sleep(seconds)

    async def work():
        await asyncio.sleep(0.05)
        pause({held_s})
        await asyncio.sleep(0.05)

    async def main():
        await asyncio.create_task(work(), name="worker")

    with asyncio.Runner(loop_factory={factory}) as runner:
        runner.run(main())
"""

FACTORIES = {
    "uvloop": ("__import__('uvloop').new_event_loop", "libuv"),
    "poll": ("lambda: asyncio.SelectorEventLoop(selectors.PollSelector())", "wrapped"),
    "epoll": ("asyncio.new_event_loop", "select"),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_a_block_is_found_on_every_kind_of_loop(name: str, tmp_path: Path) -> None:
    """The place, the task and the length, to the accuracy that the loop allows."""
    if name == "uvloop":
        pytest.importorskip("uvloop")
    factory, mechanism = FACTORIES[name]
    seen = watched(PROGRAM.format(factory=factory, held_s=0.2), tmp_path)

    assert seen.status == 0, seen.stderr
    (started,) = seen.of(LoopStarted)
    assert started.mechanism == mechanism
    (block,) = seen.blocks
    sample = max(block.samples, key=lambda s: s.count)
    assert (sample.stack[-1].function, sample.task) == ("pause", "worker")
    assert block.held_ns / 1e6 == pytest.approx(200, abs=30)


@pytest.mark.parametrize("name", FACTORIES)
def test_a_healthy_loop_of_any_kind_is_not_reported(name: str, tmp_path: Path) -> None:
    """Waiting is no block."""
    if name == "uvloop":
        pytest.importorskip("uvloop")
    factory, _ = FACTORIES[name]
    seen = watched(PROGRAM.format(factory=factory, held_s=0), tmp_path)

    assert seen.status == 0, seen.stderr
    assert seen.blocks == []
