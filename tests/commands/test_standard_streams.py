"""Commands whose standard streams are closed when they begin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.record.run_folder import RunFolder
from tests.support.commanded import COMMAND, Ended

PROGRAM = """
import asyncio, os
asyncio.run(asyncio.sleep(0))
for number in (1, 2):
    try:
        os.write(number, b"of the program\\n")
    except OSError:
        pass
"""


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = line.format(harness=" ".join(COMMAND), python=sys.executable)
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=100, cwd=cwd)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_is_watched_with_closed_streams(tmp_path: Path, closed: str) -> None:
    """Its status is its own, its record is whole, and what it prints is in none of the run's files."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = shell(f"{{harness}} watch --out run -- {{python}} program.py {closed}", tmp_path)
    report = Ended(done.returncode, done.stdout, done.stderr, RunFolder(tmp_path / "run")).report
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]

    assert done.returncode == 0
    assert report["run"]["outcome"] == "observed"
    assert [one["message"] for one in report["findings"] if one["rule"] == "record"] == []
    assert [path for path in files if b"of the program\n" in path.read_bytes()] == []
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_results_and_messages_go_nowhere_if_nobody_takes_them(tmp_path: Path) -> None:
    """The exit status stays what it is, and one stream does not take what is meant for the other."""
    schema = shell("{harness} schema report 2>&-", tmp_path)
    silent = shell("{harness} schema report >&-", tmp_path)
    refused = shell("{harness} report nowhere 2>&-", tmp_path)

    assert json.loads(schema.stdout)["title"]
    assert (schema.returncode, silent.returncode, refused.returncode) == (0, 0, 2)
    assert (silent.stdout, silent.stderr, refused.stdout, refused.stderr) == ("", "", "", "")
