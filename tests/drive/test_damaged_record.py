"""A record that is damaged after its run: said in the first sentence, and never passed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.read.history import load
from harness.read.report import build, exit_status
from harness.record.run_folder import RunFolder
from tests.support.commanded import harness

PROGRAM = """
import asyncio, time
async def main():
    for n in range(3):
        time.sleep(0.06)
        await asyncio.sleep(0.01)
asyncio.run(main())
"""


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_after_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))


def without_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))


def garbled(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"\x00\xff\n", *lines[4:]]))


def of_another_shape(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[3] = {key: [] for key in lines[3]} | {"e": lines[3]["e"]}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in which a condition held."""
    cwd = tmp_path_factory.mktemp("whole")
    (cwd / "program.py").write_text(PROGRAM)
    options = ("--block-ms", "40", "--fail-on", "blocks.count > 1000")
    ended = harness("watch", *options, "--", sys.executable, "program.py", cwd=cwd)
    assert (ended.status, ended.report["run"]["outcome"]) == (0, "passed")
    return ended.folder.path


DAMAGES = (halved, cut_after_a_line, without_a_line, garbled, of_another_shape, emptied, Path.unlink)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("role", ["target", "runner"])
def test_damage_is_said_first_and_nothing_passes(
    whole: Path, tmp_path: Path, role: str, damage: Callable[[Path], object]
) -> None:
    """Whatever is missing of what was written, by whom, and how it came to be missing."""
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    (file,) = folder.events.glob(f"{role}-*.jsonl")
    damage(file)

    document = build(load(folder))
    assert (document.run.outcome, exit_status(document)) in (("invalid", 3), ("aborted", 3))
    beginnings = ("Invalid measurement (the record is damaged: events/", "Partial record (the runner was ")
    assert document.run.verdict.startswith(beginnings)
    if role == "target":
        assert file.name in document.run.verdict


def test_a_missing_page_of_counters_is_damage(whole: Path, tmp_path: Path) -> None:
    """Without it the loop looks as if nobody had timed it."""
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    (page,) = folder.loops.glob("*.page")
    page.unlink()

    document = build(load(folder))
    assert document.run.outcome == "invalid"
    assert document.run.verdict.startswith(
        f"Invalid measurement (the record is damaged: loops/{page.name} (counters of a loop) is missing"
    )


def test_a_record_without_any_file_of_events_is_refused(whole: Path, tmp_path: Path) -> None:
    """Nothing can be read: an error of its own, not a program without a loop."""
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    for file in folder.events.iterdir():
        file.unlink()

    with pytest.raises(RecordError, match="the record is empty"):
        load(folder)


def test_a_record_that_only_grew_is_whole(whole: Path, tmp_path: Path) -> None:
    """A process that outlives the run goes on writing."""
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    (file,) = folder.events.glob("target-*.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines, lines[3]]))

    assert build(load(folder)).run.outcome == "passed"
