"""`harness compare` with records that were taken already."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.record.run import MANIFEST
from tests.support.ci_schema import JUNIT, SARIF, code_quality_issues
from tests.support.commanded import COMMAND, harness

PROGRAM = """
    import asyncio, time
    async def main():
        for _ in range({turns}):
            await asyncio.sleep(0)
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one record of a program, and one of another that takes three times as many turns."""
    folder = tmp_path_factory.mktemp("records")
    for name, turns in (("base", 2_000), ("head", 6_000)):
        (folder / "shop.py").write_text(dedent(PROGRAM.format(turns=turns)))
        watched = harness("watch", "--quiet", "--", sys.executable, "shop.py", cwd=folder, out=name)
        assert watched.status == 0
    return folder


def several(records: Path, name: str, out: Path, times: list[int]) -> Path:
    """Copies of a record that began at those seconds."""
    for time in times:
        copy = out / f"{name}-{time:02}"
        shutil.copytree(records / name, copy)
        manifest = json.loads((copy / MANIFEST).read_text())
        manifest["started"] = f"2026-11-30T12:00:{time:02}.000+00:00"
        (copy / MANIFEST).write_text(json.dumps(manifest))
    return out


def compare(base: Path, head: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "compare", str(base), str(head), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_one_record_of_each_decides_nothing(records: Path) -> None:
    """The differences are shown, and that nobody knows what they are worth; status 3."""
    ended = compare(records / "base", records / "head")

    assert ended.returncode == 3
    assert ended.stdout.startswith("cannot tell: process_cpu_us: one run of each: nothing tells how much")
    assert " ×2.99 " in next(line for line in ended.stdout.splitlines() if line.startswith("turns"))
    assert "Run-to-run variation needs repeated runs." in ended.stdout


def test_repeated_records_in_turn_are_judged_as_pairs(records: Path, tmp_path: Path) -> None:
    """Five of each, taken in turn: three times the turns are slower, and the same record is no difference."""
    base = several(records, "base", tmp_path / "base", [0, 3, 4, 7, 8])
    head = several(records, "head", tmp_path / "head", [1, 2, 5, 6, 9])
    same = several(records, "base", tmp_path / "same", [1, 2, 5, 6, 9])
    slower = compare(base, head, "--metric", "turns", "--json")
    alike = compare(base, same)

    assert slower.returncode == 1
    assert json.loads(slower.stdout)["sentence"].startswith("slower: turns ")
    assert "5 runs of the base and 5 of the head, taken in turn" in slower.stdout
    assert (alike.returncode, alike.stdout.partition(":")[0]) == (0, "no difference that matters")


def test_repeated_records_that_were_not_taken_in_turn_tell_no_times(records: Path, tmp_path: Path) -> None:
    """Counts can be told; that times are the same cannot."""
    base = several(records, "base", tmp_path / "base", [0, 1, 2, 3, 4])
    head = several(records, "head", tmp_path / "head", [5, 6, 7, 8, 9])
    same = several(records, "base", tmp_path / "same", [5, 6, 7, 8, 9])
    turns = compare(base, head, "--metric", "turns")
    times = compare(base, same)

    assert (turns.returncode, times.returncode) == (1, 3)
    assert "process_cpu_us: the runs were not taken in turn" in times.stdout


def test_ci_gets_what_it_reads(records: Path, tmp_path: Path) -> None:
    """In each format, named by an option or by the file's name; the exit status stays."""
    files = {name: tmp_path / name for name in ("a.junit.xml", "b.xml", "c.sarif", "d.codequality.json")}
    given = [
        option for name in ("b.xml", "c.sarif", "d.codequality.json") for option in ("--write", files[name])
    ]
    quality = ("--write", f"gitlab={tmp_path / 'e.json'}")
    one = compare(records / "base", records / "head", "--output", files["a.junit.xml"])
    annotations = compare(records / "base", records / "head", "--format", "github", *given, *quality)

    assert [one.returncode, annotations.returncode] == [3, 3]
    assert (tmp_path / "e.json").read_text() == files["d.codequality.json"].read_text()
    JUNIT.validate(files["a.junit.xml"].read_text())
    JUNIT.validate(files["b.xml"].read_text())
    SARIF.validate(json.loads(files["c.sarif"].read_text()))
    # The program was watched: there is no scenario to show a figure at.
    assert code_quality_issues(files["d.codequality.json"].read_text()) == []
    assert "\n::warning title=cannot tell%3A process_cpu_us::process_cpu_us: one run" in annotations.stdout


def crashing(records: Path) -> Path:
    """The record of a program that dies on its own."""
    (records / "dies.py").write_text("import asyncio, sys\nasyncio.run(asyncio.sleep(0))\nsys.exit(7)\n")
    assert harness("watch", "--quiet", "--", sys.executable, "dies.py", cwd=records, out="dies").status == 7
    return records / "dies"


def test_a_run_that_crashed_decides_nothing(records: Path, tmp_path: Path) -> None:
    """However good its figures are; one of the head, which the base did not do, is named first."""
    base = several(records, "base", tmp_path / "base", [0, 3, 4, 7, 8])
    head = several(records, "base", tmp_path / "head", [1, 2, 5, 6])
    crashed = json.loads((crashing(records) / MANIFEST).read_text())["id"]
    several(records, "dies", head, [9])
    ended = compare(base, head)
    both = compare(records / "dies", records / "dies", "--metric", "turns")
    reports = compare(base, head, "--format", "github", "--write", tmp_path / "c.junit.xml")

    told = f"cannot tell: the run {crashed} of the head crashed, unlike the base (with status 7)"
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (3, told)
    assert both.returncode == 3
    assert f"the run {crashed} of the base crashed (with status 7); and 1 more run cannot" in both.stdout
    assert reports.returncode == 3
    JUNIT.validate((tmp_path / "c.junit.xml").read_text())
    assert f'<error message="{told}"' in (tmp_path / "c.junit.xml").read_text()


def test_a_run_with_a_damaged_record_decides_nothing(records: Path, tmp_path: Path) -> None:
    """Nor does one that was cut off: its figures are those of a part of it."""
    base = several(records, "base", tmp_path / "base", [0, 3, 4, 7, 8])
    head = several(records, "base", tmp_path / "head", [1, 2, 5, 6, 9])
    for events in (head / "base-05" / "events").glob("*.jsonl"):
        with events.open("a") as file:
            file.write("no event\n")
    for events in (base / "base-03" / "events").glob("runner*.jsonl"):
        lines = [line for line in events.read_text().splitlines() if '"e":"RunEnded"' not in line]
        events.write_text("\n".join(lines) + "\n")
    ended = compare(base, head)

    assert ended.returncode == 3
    assert " of the head is invalid (the record is damaged: events/" in ended.stdout.splitlines()[0]
    assert ended.stdout.splitlines()[0].endswith("; and 1 more run cannot be judged")


def test_what_cannot_be_compared_ends_with_2(records: Path, tmp_path: Path) -> None:
    """A folder without a run, and a figure that was not measured."""
    empty = compare(records / "base", tmp_path)
    unknown = compare(records / "base", records / "head", "--metric", "queries")
    nowhere = compare(records / "base", records / "head", "--write", tmp_path / "no" / "a.sarif")
    formless = compare(records / "base", records / "head", "--write", tmp_path / "a.txt")

    assert [one.returncode for one in (empty, unknown, nowhere, formless)] == [2, 2, 2, 2]
    assert "no record of a run here, and none in its folders" in empty.stderr
    assert "--metric queries: no such figure was measured" in unknown.stderr
