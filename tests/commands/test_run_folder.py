"""`harness run FOLDER`: all scenarios of a folder, one after the other."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support.commanded import harness, running, wait

SCENARIO = """
[target]
kind = "program"
command = ["{python}", "-c", "import asyncio, time; asyncio.run(asyncio.sleep({s})); open('{name}', 'w')"]

[expect]
"blocks.count" = "{limit}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenarios, of which the second is not met."""
    (tmp_path / "all").mkdir()
    for name, limit in (("one", "== 0"), ("three", "== 0"), ("two", "== 5")):
        text = SCENARIO.format(python=sys.executable, name=name, limit=limit, s=0.1)
        (tmp_path / "all" / f"{name}.toml").write_text(text)
    return tmp_path


def test_every_scenario_runs_and_the_worst_decides(folder: Path) -> None:
    """One summary, with the outcome and the verdict of each; each run has a folder of its own."""
    ended = harness("run", "all", "--quiet", cwd=folder)

    assert ended.status == 1
    _, _, summary = ended.stdout.partition("\n3 scenarios: ")
    counts, *lines = summary.splitlines()
    assert counts == "2 passed, 1 failed"
    assert [line.split()[:2] for line in lines] == [["one", "passed"], ["three", "passed"], ["two", "failed"]]
    assert "blocks.count is 0, expected == 5" in lines[2]
    for name in ("one", "two", "three"):
        assert (folder / "all" / name).exists()
        assert (folder / "run" / name / "report.json").exists()


@pytest.mark.parametrize(
    ("wrong", "arguments", "message"),
    [
        ("[target]\nkind = 'nothing'", (), 'two.toml:2: target.kind: unknown kind "nothing"'),
        ("", ("--json",), "the format json is of one run, and all is a folder of scenarios"),
    ],
)
def test_if_one_is_wrong_nothing_is_started(
    folder: Path, wrong: str, arguments: tuple[str, ...], message: str
) -> None:
    """All are read first."""
    if wrong:
        (folder / "all" / "two.toml").write_text(wrong)
    ended = harness("run", "all", *arguments, cwd=folder)

    assert ended.status == 2
    assert message in ended.stderr
    assert not (folder / "all" / "one").exists()


def test_a_folder_without_scenarios_is_an_error(tmp_path: Path) -> None:
    """Nothing passes in silence."""
    (tmp_path / "all").mkdir()
    ended = harness("run", "all", cwd=tmp_path)

    assert (ended.status, ended.stderr.splitlines()[0]) == (
        2,
        "harness: all: no scenario in this folder; expected files that end with .toml",
    )


def test_an_interrupt_ends_the_run_and_leaves_out_the_rest(folder: Path) -> None:
    """What has ended is told, and what was not run."""
    slow = SCENARIO.format(python=sys.executable, name="three", limit="== 0", s=60)
    (folder / "all" / "three.toml").write_text(slow)
    with running("run", "all", cwd=folder) as run:
        wait(lambda: list((folder / "run" / "three" / "loops").glob("*.page")), within_s=60)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

    assert ended.status == 130
    assert "2 scenarios: 1 passed, 1 " in ended.stdout
    assert "; not run: two\n" in ended.stdout
