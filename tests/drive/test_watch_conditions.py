"""`watch --fail-on`: a condition holds, does not hold, or cannot be judged; the program is not changed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.commanded import Ended, harness

NO_LOOP = "the probe detected no event loop in the program"
BLOCKS = "import asyncio, time\nasync def main(): time.sleep(0.2)\nasyncio.run(main())\n"


def watch(folder: Path, program: str, *options: str, python: tuple[str, ...] = (), out: str = "run") -> Ended:
    (folder / "program.py").write_text(program)
    return harness("watch", *options, "--", sys.executable, *python, "program.py", cwd=folder, out=out)


def test_fail_on_asks_otherwise(tmp_path: Path) -> None:
    """1 when a condition holds, the program's own status when none does; shown as they were written."""
    failed = watch(tmp_path, BLOCKS, "--fail-on", "blocks.count > 0", "--fail-on", "blocks.count>=9")
    own = f"{BLOCKS}raise SystemExit(7)"
    passed = watch(tmp_path, own, "--fail-on", "blocks.count == 0", out="again")

    assert failed.status == 1
    judged = [(e["name"], e["limit"], e["fail_on"], e["passed"]) for e in failed.report["expectations"]]
    assert judged == [("blocks.count", "> 0", True, False), ("blocks.count", ">= 9", True, True)]
    assert failed.stderr.startswith('failed blocks.count is 1 (--fail-on "blocks.count > 0"). Loop blocked ')
    assert "✗  fail on blocks.count > 0: 1\n" in failed.stderr
    assert "✓  fail on blocks.count >= 9: 1\n" in failed.stderr
    assert passed.status == 7
    assert passed.report["run"]["outcome"] == "crashed"


@pytest.mark.parametrize(
    ("program", "python", "short", "reason"),
    [
        (
            BLOCKS,
            ("-I",),
            "no process was watched",
            "it was started with -I (isolated mode)",
        ),
        ("print('no loop')", (), NO_LOOP, f"blocks.count was not measured: {NO_LOOP}"),
    ],
    ids=["without the probe", "without a loop"],
)
def test_what_was_not_measured_is_not_judged(
    tmp_path: Path, program: str, python: tuple[str, ...], short: str, reason: str
) -> None:
    """3 with the reason first, and no figure that reads like a good one; unasked, the status is its own."""
    asked = watch(tmp_path, program, "--fail-on", "blocks.count > 0", python=python)
    unasked = watch(tmp_path, program, python=python, out="again")

    assert (asked.status, asked.report["run"]["outcome"]) == (3, "invalid")
    assert asked.report["run"]["verdict"].startswith("Invalid measurement: ")
    assert reason in asked.report["run"]["verdict"]
    assert asked.report["expectations"][0]["unmeasured"] == short
    totals = {"count": None, "max_held_ms": None, "total_ms": None, "victims": None}
    assert asked.report["block_totals"] == totals
    assert [asked.report["loop"][name] for name in ("turns", "blocked_turns", "busy_ratio")] == [None] * 3
    assert asked.report["overhead"]["unknown"] == "no loop was watched"
    assert (unasked.status, unasked.report["run"]["outcome"]) == (0, "observed")


@pytest.mark.parametrize(
    ("ending", "status", "told"),
    [
        ("raise ValueError('boom')", 1, "with status 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "by SIGKILL"),
    ],
    ids=["raises", "killed"],
)
def test_a_program_that_crashed_did_not_pass(tmp_path: Path, ending: str, status: int, told: str) -> None:
    """Its status stays its own, its stderr goes where it went, and the report calls it crashed."""
    ended = watch(tmp_path, f"{BLOCKS}{ending}")

    assert (ended.status, ended.report["run"]["outcome"]) == (status, "crashed")
    assert ended.report["run"]["verdict"].startswith(f"The target died on its own {told}: Loop blocked ")
    assert ("ValueError: boom" in ended.stderr) is (status == 1)
    (error,) = [f["message"] for f in ended.report["findings"] if f["level"] == "error"]
    assert error == f"the target died on its own, {told}; what it printed was passed on, and not kept"
