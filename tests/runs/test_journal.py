"""The journal: whatever happens to it, a line that was written is read, and no run is held up."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from harness.runs import journal
from harness.runs.column import SCHEMA
from tests.support.past_runs import run_row


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    """Row by row, in a folder that was not there."""
    path = tmp_path / "reports" / "history.jsonl"
    written = [run_row(n, loop_lag_ms_p99=1.5, seed=n, verdict="fine") for n in range(3)]
    for each in written:
        journal.append(path, [each])

    part = journal.read(path)
    assert part.rows == tuple(written)
    assert (part.end, part.damaged, part.newer) == (path.stat().st_size, 0, 0)


def test_lines_that_are_no_rows_are_counted_and_spoil_no_other(tmp_path: Path) -> None:
    """Bytes of any kind, a line that was cut off, and one of a newer version."""
    path = tmp_path / "history.jsonl"
    newer = {**json.loads(run_row(8).line()), "schema": SCHEMA + 1}
    lines = [b"\xff\xfe\x00", b"[1]", b'{"schema": 1, "table": "runs"}', json.dumps(newer).encode()]
    path.write_bytes(b"\n".join([run_row(1).line().encode(), *lines, run_row(2).line().encode()[:90]]))
    journal.append(path, [run_row(3)])

    part = journal.read(path)
    assert part.rows == (run_row(1), run_row(3))
    assert (part.damaged, part.newer) == (4, 1)


def test_a_line_without_its_end_is_not_read_yet(tmp_path: Path) -> None:
    """Somebody writes it just now; the place of the next reading is before it."""
    path = tmp_path / "history.jsonl"
    journal.append(path, [run_row(1)])
    size = path.stat().st_size
    with path.open("a") as file:
        file.write(run_row(2).line())

    assert journal.read(path).end == size
    with path.open("a") as file:
        file.write("\n")
    assert journal.read(path, start=size).rows == (run_row(2),)


def test_a_full_disk_is_an_error_and_the_next_line_is_whole(tmp_path: Path) -> None:
    """The file may not grow beyond a half of the second line."""
    path = tmp_path / "history.jsonl"
    journal.append(path, [run_row(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    try:
        with pytest.raises(OSError, match="the disk is full"):
            journal.append(path, [run_row(2)])
        with pytest.raises(OSError, match="File too large"):
            journal.append(path, [run_row(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append(path, [run_row(3)])

    assert journal.read(path).rows == (run_row(1), run_row(3))


def test_something_else_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    """A pipe that nobody reads, a device and a folder are errors at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/full")
    for name in ("pipe", "folder", "device", "pipe/history.jsonl"):
        with pytest.raises(OSError, match=r"."):
            journal.append(tmp_path / name, [run_row(1)])


def test_a_beginning_does_not_replace_an_end() -> None:
    """Whichever is read last; an end replaces both."""
    begun = run_row(1, outcome=None)
    ended, judged_again = run_row(1, outcome="failed"), run_row(1, outcome="passed")

    assert list(journal.latest([begun, ended]).values()) == [ended]
    assert list(journal.latest([ended, begun]).values()) == [ended]
    assert list(journal.latest([ended, judged_again]).values()) == [judged_again]
    assert list(journal.latest([begun]).values()) == [begun]
