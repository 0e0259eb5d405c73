"""What one run of a program cost, as the process that starts it measures it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.drive.bench.program import Launcher, ProgramSide
from harness.errors import TargetError
from harness.record.comparison.pairs import Measured

# It has a hundred megabytes of memory, and computes for a tenth of a second.
WORK = "kept = b'x' * 100_000_000\nimport time\nwhile time.process_time() < 0.1: pass"


def run(program: str, cwd: Path) -> Measured:
    command = (sys.executable, "-I", "-S", "-c", program)
    with Launcher() as launcher:
        return ProgramSide("base", command, launcher, cwd, dict(os.environ), 60).run()


def test_a_program_costs_what_it_used(tmp_path: Path) -> None:
    """In milliseconds and megabytes; a small program is not told with the memory of the runner."""
    worked, idle = run(WORK, tmp_path), run("pass", tmp_path)

    assert set(worked) == set(idle) == {"cpu_ms", "wall_ms", "peak_mb"}
    assert 100 <= worked["cpu_ms"] <= 1_000
    assert worked["wall_ms"] >= 100
    assert 100 <= worked["peak_mb"] <= 140
    assert 2 <= idle["peak_mb"] <= 40


def test_only_the_last_line_tells_figures(tmp_path: Path) -> None:
    """Lines before it may look alike; without such a line, the program tells nothing."""
    told = run("""print('starts'); print('{"queries": 7, "items": "many"}'); print()""", tmp_path)
    silent = run("""print('{"queries": 1}'); print('done')""", tmp_path)

    assert (told["queries"], "items" in told) == (7, False)
    assert "queries" not in silent


def test_a_program_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    """Of stderr, or of stdout where there are none; one that wrote nothing has none."""
    failing = {
        "import sys; print('out'); sys.exit('the database is away')": ["the database is away"],
        "print('out'); raise SystemExit(3)": ["out"],
        "raise SystemExit(3)": [],
    }
    for program, words in failing.items():
        with pytest.raises(TargetError, match=r"^base: the program ended with status \d") as raised:
            run(program, tmp_path)

        assert getattr(raised.value, "__notes__", []) == words


def test_a_program_that_takes_too_long_is_asked_to_end(tmp_path: Path) -> None:
    """It may put things in order; only what does not end then is killed."""
    program = "trap 'echo > in-order; exit 0' TERM; echo > ready; while :; do sleep 0.02; done"
    for within_s in (0.2, 2, 20):  # a busy machine may take long to start it
        with Launcher() as launcher, pytest.raises(TargetError, match="did not end within"):
            ProgramSide("base", ("sh", "-c", program), launcher, tmp_path, dict(os.environ), within_s).run()
        if (tmp_path / "ready").exists():
            break

    assert (tmp_path / "in-order").exists()
