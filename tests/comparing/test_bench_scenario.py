"""`harness bench` with a scenario in two revisions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.commanded import Ended, running

SCENARIO = """
    [target]
    kind = "program"
    command = ["python3", "shop.py"]
"""
SHOP = """
import asyncio

async def save():
    for _ in range({turns}):
        await asyncio.sleep(0)

asyncio.run(save())
"""


def git(folder: Path, *arguments: str) -> str:
    given = ("-c", "user.name=a", "-c", "user.email=a@b", *arguments)
    return subprocess.run(["git", *given], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A shop, one that takes three times as many turns, and one that does not start."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "shop.toml").write_text(SCENARIO)
    (tmp_path / ".gitignore").write_text("bench\n")
    for text in (SHOP.format(turns=500), SHOP.format(turns=1_500), "raise SystemExit('no database')"):
        (tmp_path / "shop.py").write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", "next")
    return tmp_path


def bench(repository: Path, *options: str) -> Ended:
    given = ("bench", "shop.toml", "--same-environment", *options)
    with running(*given, cwd=repository, out="bench") as run:
        ended = run.ended(within_s=900)
        assert run.all_gone()
    return ended


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_a_revision_that_takes_more_turns_is_slower(repository: Path) -> None:
    """By a count of the record; every run has one, and both sides were run again for the reason."""
    given = ("--base", "HEAD~2", "--head", "HEAD~1", "--metric", "turns=50%", "--json")
    ended = bench(repository, *given)
    decided = json.loads(ended.stdout)
    found = {one["name"]: one for one in decided["measures"]}
    runs = sorted(path.name for path in (repository / "bench" / "runs").iterdir())

    assert ended.status == 1
    assert found["turns"]["answer"] == "slower"
    assert 2.5 < found["turns"]["head"] / found["turns"]["base"] < 3.1
    assert found["process_cpu_us"]["base"] > 0
    assert [name for name in runs if name.startswith("explained")] == [
        *("explained-base-1", "explained-base-2", "explained-base-3", "explained-base-4"),
        *("explained-head-1", "explained-head-2", "explained-head-3", "explained-head-4"),
    ]
    assert any(reason["text"].startswith("more turns of the loop") for reason in decided["reasons"])
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_target_that_fails_ends_with_4(repository: Path) -> None:
    """The side, what it wrote last, and where its record is."""
    ended = bench(repository, "--base", "HEAD", "--head", "HEAD~1")

    assert ended.status == 4
    assert "harness: base: the target ended with status 1" in ended.stderr
    assert "no database" in ended.stderr
    assert "The record is kept: harness report " in ended.stderr
    assert git(repository, "worktree", "list").count("\n") == 1
