"""What is replaced right after an import: in any order of imports, and without a trace when a step fails."""

from __future__ import annotations

from pathlib import Path

from harness.record.event import LoopStarted, ProbeFailed
from tests.support.watched import watched


def test_uvloop_may_be_the_first_import_of_a_program(tmp_path: Path) -> None:
    """It imports asyncio while it is half imported itself; its loop is watched all the same."""
    program = """
        import uvloop
        import asyncio, time

        async def main():
            time.sleep(0.2)
            await asyncio.sleep(0.05)
            print("ran under", uvloop.__name__)

        uvloop.run(main())
    """
    seen = watched(program, tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran under uvloop\n", "")
    assert seen.of(ProbeFailed) == []
    assert [loop.kind for loop in seen.of(LoopStarted)] == ["uvloop.Loop"]
    most = [max(block.samples, key=lambda sample: sample.count) for block in seen.blocks]
    assert [sample.stack[-1].function for sample in most] == ["main"]
