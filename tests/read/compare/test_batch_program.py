"""A program that ends by itself, run for real: how long its work took, not how busy it was per second."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from harness.commands.report import report
from harness.read.history import load
from harness.read.report import build
from harness.record.run_folder import RunFolder
from tests.support.commanded import harness

# Each order is computed with the thread's own clock.
PROGRAM = """
    import asyncio, sys, time
    def render(work_s):
        end = time.thread_time() + work_s
        while time.thread_time() < end:
            pass
    async def order():
        await asyncio.sleep(0.001)
        render(float(sys.argv[1]))
    async def main():
        for _ in range(60):
            await asyncio.create_task(order())
    asyncio.run(main())
"""


@pytest.mark.long
def test_three_times_the_work_is_told_although_the_loop_is_no_busier(tmp_path: Path) -> None:
    """In the first lines: the duration, and the function with its time per run, heavier beyond the noise."""
    (tmp_path / "program.py").write_text(dedent(PROGRAM))
    for out, work_s in (("base", "0.01"), ("head", "0.03")):
        ended = harness(
            "watch", "--sample", "--", sys.executable, "program.py", work_s, cwd=tmp_path, out=out
        )
        assert ended.status == 0
    shown = CliRunner().invoke(report, [str(tmp_path / "head"), "--against", str(tmp_path / "base")]).output
    second = shown.splitlines()[1]
    base, head = (build(load(RunFolder(tmp_path / name))) for name in ("base", "head"))

    assert base.run.target.ended_by_itself
    assert base.loop.busy_ratio is not None
    assert head.loop.busy_ratio is not None
    assert base.loop.busy_ratio * 2 > head.loop.busy_ratio  # per second there is nothing to see
    longer = re.match(r"Against [\w-]+: took [\d.]+ s, not [\d.]+ m?s \(×([\d.]+)\)\. Worse: ", second)
    assert longer is not None
    found = re.search(r"render ([\d.]+) (m?s) → ([\d.]+) s per run", second)
    assert found is not None
    before_s = float(found[1]) / (1000 if found[2] == "ms" else 1)
    # By the clock on the wall, as all that a sampler sees: a busy machine makes either run longer.
    assert max(1.5, float(longer[1]) / 1.5) < float(found[3]) / before_s < float(longer[1]) * 1.5
    assert re.search(
        r"not the same: command \(.*program\.py 0\.01, .*program\.py 0\.03\)", " ".join(shown.split())
    )
