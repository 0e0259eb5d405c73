"""`harness bisect` over the revisions of a git repository, whose programs tell their own figures."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from harness.runs import journal
from tests.support.commanded import Ended, running, wait


def git(folder: Path, *arguments: str) -> str:
    given = ("-c", "user.name=a", "-c", "user.email=a@b", *arguments)
    return subprocess.run(
        ["git", *given], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def repository(folder: Path, figures: list[str]) -> Path:
    """A commit for each program."""
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("search*\n")
    for number, text in enumerate(figures):
        (folder / "app.sh").write_text(f"# {number}\n{text}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"change {number}")
    return folder


def telling(cpu_ms: float) -> str:
    return f"""echo '{{"cpu_ms": {cpu_ms}, "wall_ms": 60, "peak_mb": 20}}'"""


def bisect(folder: Path, *options: str, out: str = "search", good: str = "") -> Ended:
    first = good or git(folder, "rev-list", "--max-parents=0", "HEAD")
    given = ("--command", "sh app.sh", "--good", first, "--same-environment", "--json", *options)
    with running("bisect", *given, cwd=folder, out=out) as run:
        ended = run.ended(within_s=400)
        assert run.all_gone()
    return ended


@pytest.mark.long
@pytest.mark.timeout(500)
def test_the_slow_revision_is_found(tmp_path: Path) -> None:
    """In three steps among eight; what is known is taken from the folder the next time."""
    folder = repository(tmp_path, [telling(50)] * 5 + [telling(60)] * 3)
    found = json.loads(bisect(folder).stdout)
    again = bisect(folder)

    assert found["exit_status"] == 1
    assert found["slower"]["subject"] == "change 5"
    assert (
        found["sentence"].split(" ", 1)[1].startswith("change 5 made it slower: slower: cpu_ms 50 ms → 60 ms")
    )
    assert len(found["steps"]) == 4  # the last, and three
    assert again.status == 1
    assert json.loads(again.stdout) == found
    assert "with 4 revisions known" in again.stderr
    assert len(git(folder, "worktree", "list").splitlines()) == 1


@pytest.mark.timeout(500)
def test_a_revision_that_does_not_run_leaves_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest that is certain; status 3. The history has the outcome, each step, and their figures."""
    monkeypatch.delenv("HARNESS_HISTORY")
    folder = repository(tmp_path, [telling(50), telling(50), "exit 1", telling(60), telling(60)])
    ended = bisect(folder)
    found = json.loads(ended.stdout)

    assert ended.status == 3
    assert (found["good"]["subject"], found["slower"]["subject"]) == ("change 1", "change 3")
    assert "cannot tell which of 2 revisions made it slower" in found["sentence"]
    rows = [one.cells for one in journal.read(folder / "reports" / "history.jsonl").rows]
    searched = {one["metric"]: one["answer"] for one in rows if one["metric"] != "cpu_ms"}
    steps = {f"revision {step['commit'][:12]}": step["answer"] for step in found["steps"]}
    assert {name: searched[name] for name in ("search", *steps)} == {"search": "cannot tell", **steps}
    assert sorted(steps.values()) == ["cannot tell", "no difference", "slower", "slower"]
    compared = [str(one["answer"]) for one in rows if one["metric"] == "cpu_ms"]
    assert sorted(compared) == ["no difference", "slower", "slower"]  # one did not run


@pytest.mark.timeout(500)
def test_where_nothing_is_slower_nothing_is_searched(tmp_path: Path) -> None:
    """One comparison; status 0. And what cannot be a search ends with 2."""
    folder = repository(tmp_path, [telling(50)] * 3)
    ended = bisect(folder)
    other = bisect(folder, "--limit", "1%")
    backwards = bisect(folder, "--bad", git(folder, "rev-list", "--max-parents=0", "HEAD"), out="search2")

    assert (ended.status, len(json.loads(ended.stdout)["steps"])) == (0, 1)
    assert (other.status, backwards.status) == (2, 2)
    assert "holds another search" in other.stderr
    assert "does not come after" in backwards.stderr


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_revision_that_cannot_be_installed_is_passed_over(tmp_path: Path) -> None:
    """The range says so; the reason is that of the step."""
    folder = repository(tmp_path, [telling(50)] * 2)
    (folder / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "cannot be installed")
    env = {"XDG_CACHE_HOME": str(tmp_path / "search-cache"), "PIP_NO_INDEX": "1"}
    good = git(folder, "rev-parse", "HEAD~1")
    given = ("--command", "sh app.sh", "--good", good, "--json")
    with running("bisect", *given, cwd=folder, out="search", env=env) as run:
        ended = run.ended(within_s=300)
        assert run.all_gone()

    assert ended.status == 3
    (step,) = json.loads(ended.stdout)["steps"]
    assert step["answer"] == "cannot tell"
    assert "): cannot be installed" in step["sentence"]
    assert len(git(folder, "worktree", "list").splitlines()) == 1


@pytest.mark.timeout(500)
def test_a_ctrl_c_keeps_what_is_known(tmp_path: Path) -> None:
    """130, without a work tree; the same folder goes on."""
    folder = repository(tmp_path, [telling(50), "sleep 300", telling(60), telling(60)])
    first = git(folder, "rev-list", "--max-parents=0", "HEAD")
    given = ("--command", "sh app.sh", "--good", first, "--same-environment", "--json")
    state = folder / "search" / "bisect.json"
    with running("bisect", *given, cwd=folder, out="search") as run:
        wait(lambda: any("sleep 300" in one for one in run.processes().values()), within_s=300)
        known = json.loads(state.read_text())["steps"]
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()
        assert run.all_gone()
    found = json.loads(ended.stdout)

    assert ended.status == 130
    assert (found["interrupted"], found["steps"]) == (True, known)
    assert found["steps"]
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_a_shallow_clone_and_changes_that_are_not_committed_are_told(tmp_path: Path) -> None:
    """The first ends with 2, before anything is run."""
    (tmp_path / "whole").mkdir()
    folder = repository(tmp_path / "whole", [telling(50)] * 3)
    first = git(folder, "rev-list", "--max-parents=0", "HEAD")
    git(tmp_path, "clone", "-q", "--depth", "1", folder.as_uri(), "shallow")
    git(tmp_path / "shallow", "fetch", "-q", "--depth", "1", "origin", first)
    (tmp_path / "shallow" / "app.sh").write_text(telling(70))
    cut = bisect(tmp_path / "shallow", good=first)
    (folder / "app.sh").write_text(telling(70))
    dirty = bisect(folder, "--max-minutes", "0.001")

    assert cut.status == 2
    assert f"this clone is shallow: whether HEAD comes after {first} is not known in it" in cut.stderr
    assert "fetch-depth: 0" in cut.stderr
    assert "files with changes that are not committed: 1; they are in no revision" in dirty.stderr
