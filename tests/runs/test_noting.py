"""Real runs and their history: two at a time, one that is killed, and a history that cannot be written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.runs import journal
from harness.runs.row import HistoryRow
from tests.support.commanded import COMMAND, wait

PROGRAM = """
import asyncio, sys, time

async def main():
    time.sleep(0.15)
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
raise SystemExit(6)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, whose history is where it is by default."""
    monkeypatch.delenv("HARNESS_HISTORY")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def started(project: Path, lasts_s: float, *options: str, **env: str) -> subprocess.Popen[str]:
    """`harness watch` with a program that blocks its loop once, and ends with 6."""
    return subprocess.Popen(
        [*COMMAND, "watch", "-q", *options, "--", sys.executable, "program.py", str(lasts_s)],
        cwd=project,
        env={**os.environ, **env},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def remembered(project: Path) -> list[HistoryRow]:
    """What is known of each run, in the order in which they began."""
    return list(journal.latest(journal.read(project / "reports" / "history.jsonl").rows).values())


def test_every_run_is_a_row_also_those_at_the_same_time_and_a_killed_one(project: Path) -> None:
    """The killed one is unfinished, until its record is taken in."""
    both = [started(project, 0.01), started(project, 0.01)]
    killed = started(project, 600)
    try:
        ended = [process.communicate(timeout=100) for process in both]
        folder = wait(lambda: [row.cells["folder"] for row in remembered(project) if not row.is_whole])[0]
        record = project / str(folder)
        wait(lambda: any(b"Blocked" in path.read_bytes() for path in (record / "events").glob("*")) or None)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()

    assert [process.returncode for process in both] == [6, 6], ended
    rows = remembered(project)
    whole = [row.cells for row in rows if row.is_whole]
    assert len(rows) == 3
    assert [(cells["outcome"], cells["blocks_count"], cells["scenario"]) for cells in whole] == [
        ("crashed", 1.0, "watch")
    ] * 2
    assert {(cells["python"], cells["host"]) for cells in whole} == {
        (sys.version.split()[0], os.uname().nodename)
    }
    assert all((project / str(cells["folder"]) / "report.json").exists() for cells in whole)

    done = subprocess.run(
        [*COMMAND, "runs", "import", "reports"], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == "reports: 1 row taken in, 2 known already\n"
    (taken,) = [row.cells for row in remembered(project) if row.cells["folder"] == str(folder)]
    assert (taken["outcome"], taken["blocks_count"]) == ("aborted", 1.0)


@pytest.mark.parametrize("place", ["program.py/history", "pipe.duckdb"])
def test_a_history_that_cannot_be_written_is_one_note(project: Path, place: str) -> None:
    """The program's status is its own, the report is written, and nobody waits."""
    journal_file = place.replace(".duckdb", ".jsonl")
    os.mkfifo(project / "pipe.jsonl")
    process = started(project, 0.01, "--fail-on", "blocks.count > 9", "--out", "run", HARNESS_HISTORY=place)
    out, err = process.communicate(timeout=100)

    assert (process.returncode, out) == (6, "")
    notes = [line for line in err.splitlines() if "history" in line]
    assert len(notes) == 1
    assert notes[0].startswith(f"harness: this run is missing in the history: {journal_file}")
    assert json.loads((project / "run" / "report.json").read_text())["run"]["outcome"] == "crashed"
    assert not (project / "reports").exists()
