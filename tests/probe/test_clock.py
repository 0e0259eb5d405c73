"""A program that stops its clocks for a test: the probe's own goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import ProbeFailed, TasksCounted
from tests.support.watched import watched

# As freezegun does: in `time`, and wherever a module has the function under a name of its own.
FROZEN = """
    import asyncio, sys, time

    REAL = {{name: getattr(time, name) for name in
            ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")}}

    def freeze():
        still = {{id(function): (lambda value={at} * (10**9 if name.endswith("_ns") else 1): value)
                 for name, function in REAL.items()}}
        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if id(value) in still and module is not sys.modules["__main__"]:
                    setattr(module, name, still[id(value)])

    async def main():
        end = REAL["monotonic"]() + 0.05
        while REAL["monotonic"]() < end:
            await asyncio.sleep(0)
        freeze()
        assert time.monotonic() == asyncio.get_running_loop().time() == {at}
        time.sleep(0.25)
        end = REAL["monotonic"]() + 0.3
        while REAL["monotonic"]() < end:
            await asyncio.sleep(0)

    asyncio.run(main())
"""


@pytest.mark.parametrize("at", [0, 1_900_000_000], ids=["long ago", "in years"])
def test_a_program_whose_time_stands_still_is_watched_as_ever(tmp_path: Path, at: int) -> None:
    """The block is found with its real length and line, nothing fails, and the program is told of nothing."""
    seen = watched(FROZEN.format(at=at), tmp_path)

    assert seen.status == 0
    assert seen.stderr == ""
    assert seen.of(ProbeFailed) == []
    block = max(seen.blocks, key=lambda block: block.held_ns)
    assert 240e6 < block.held_ns < 2e9
    # To freeze takes a while, too, on a busy machine.
    assert max(block.samples, key=lambda sample: sample.count).stack[-1].function == "main"
    assert max(count.at_ns for count in seen.of(TasksCounted)) < block.at_ns + 10e9
