"""`harness runs import` and `export`: without duplicates, by folders, files and git branches."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.errors import RecordError, UsageError
from harness.runs import database, journal
from harness.runs.location import HistoryPlace
from harness.runs.row import HistoryRow
from tests.support.past_runs import run_row, runs

HISTORY = Path("reports/history.jsonl")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HARNESS_HISTORY")
    return folder


def known() -> list[HistoryRow]:
    return list(journal.latest(journal.read(HISTORY).rows).values())


def artefact(folder: Path, *numbers: int) -> Path:
    """A folder of runs, as CI keeps it."""
    for number in numbers:
        run = folder / "reports" / f"run-{number}"
        run.mkdir(parents=True)
        head = {**run_row(number).cells, "target": {"command": ["python", "-m", "shop"]}}
        (run / "report.json").write_text(json.dumps({"schema": 1, "run": head, "load": None}))
    return folder


def test_a_folder_of_runs_is_taken_in_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However often."""
    folder = artefact(tmp_path / "artefact", 1, 2)
    journal.append(HISTORY, [run_row(2), run_row(3)])
    assert runs("import", folder) == 0
    assert runs("import", folder) == 0

    assert capsys.readouterr().err.splitlines() == [
        f"{folder}: 1 row taken in, 1 known already",
        f"{folder}: 0 rows taken in, 2 known already",
    ]
    assert [row.cells["commit"] for row in known()] == [run_row(n).cells["commit"] for n in (2, 3, 1)]
    assert known()[2].cells["command"] == "python -m shop"


def test_histories_of_either_kind_are_taken_in(tmp_path: Path) -> None:
    """A journal, and a database, give the same rows."""
    theirs = HistoryPlace(tmp_path / "theirs.duckdb")
    rows = [run_row(n, loop_lag_ms_p99=0.5, dirty=True, seed=n, verdict="fine") for n in (1, 2)]
    journal.append(theirs.journal, rows)
    with database.opened(theirs):
        pass
    assert runs("--history", "one", "import", theirs.journal) == 0
    assert runs("import", theirs.database, "--history", "two") == 0

    assert journal.read(Path("one/history.jsonl")).rows == tuple(rows)
    taken = journal.read(Path("two/history.jsonl")).rows
    began = [row.cells["started"] for row in taken]
    assert began == ["2026-11-01T01:00:00.000000+00:00", "2026-11-01T02:00:00.000000+00:00"]
    assert [{**row.cells, "started": ""} for row in taken] == [{**row.cells, "started": ""} for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "no such file or folder"),
        ("empty.jsonl", b"", "no runs here"),
        ("torn.jsonl", run_row(1).line().encode() + b'\n{"schema"', r"line 2: expected JSON"),
        ("newer.jsonl", b'{"schema": 99}', r"line 1: schema 99 is of a newer version"),
        ("report.json", b'{"run": {"id": "x"}}', "started: missing"),
        ("report.json", b'{"run": []}', "expected an object `run`"),
        ("picture.png", b"\x89PNG\r\n", "line 1: expected JSON"),
        ("other.duckdb", bytes(8) + b"DUCK" + bytes(9000), "no history of runs"),
    ],
)
def test_bad_input_is_one_error_and_nothing_is_written(
    tmp_path: Path, project: Path, name: str, content: bytes | None, message: str
) -> None:
    """Also beside what is good."""
    folder = artefact(tmp_path / "artefact", 1)
    path = folder / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        runs("import", path)
    if name in ("torn.jsonl", "newer.jsonl", "report.json"):
        with pytest.raises(RecordError, match=message):
            runs("import", folder)

    assert list(project.iterdir()) == []


def test_what_is_exported_is_imported_again() -> None:
    """But for runs that have not ended."""
    journal.append(HISTORY, [run_row(1), run_row(2, outcome=None), run_row(3, seed=7)])
    assert runs("export", "all.jsonl") == 0
    assert runs("--history", "new", "import", "all.jsonl") == 0

    assert journal.read(Path("new/history.jsonl")).rows == (run_row(1), run_row(3, seed=7))


def git(*arguments: str, at: Path) -> str:
    done = subprocess.run(["git", "-C", str(at), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two clones of a repository."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")
    origin = tmp_path / "origin.git"
    git("init", "--bare", "-b", "main", str(origin), at=tmp_path)
    clones = tmp_path / "one", tmp_path / "two"
    for clone in clones:
        git("clone", "-q", str(origin), str(clone), at=tmp_path)
    (clones[0] / "code.py").write_text("pass\n")
    git("add", ".", at=clones[0])
    git("commit", "-qm", "code", at=clones[0])
    git("push", "-q", "origin", "HEAD:main", at=clones[0])
    return clones


def test_a_team_shares_a_branch_without_a_server(
    team: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each adds its runs, the second one after it has fetched; nobody's files change, and all have all."""
    one, two = team
    monkeypatch.chdir(one)
    journal.append(HISTORY, [run_row(1), run_row(2)])
    assert runs("export", "--branch", "perf") == 0
    git("push", "-q", "origin", "perf", at=one)
    monkeypatch.chdir(two)
    journal.append(HISTORY, [run_row(2), run_row(3)])
    git("fetch", "-q", at=two)
    assert runs("export", "--branch", "perf") == 0
    assert runs("export", "--branch", "perf") == 0
    git("push", "-q", "origin", "perf", at=two)
    monkeypatch.chdir(one)
    git("fetch", "-q", at=one)
    assert runs("import", "--branch", "perf") == 0

    assert {row.cells["id"] for row in known()} == {run_row(n).cells["id"] for n in (1, 2, 3)}
    told = capsys.readouterr().err.splitlines()
    assert told[1].startswith("branch perf: 3 rows, 1 of them new, commit ")
    assert told[2] == "branch perf: 3 rows, none of them new"
    assert told[3] == "branch perf: 1 row taken in, 2 known already"
    assert git("status", "--porcelain", "--untracked-files=no", at=one) == ""
    assert (git("branch", "--show-current", at=one), git("ls-files", at=one)) == ("main", "code.py")
    assert git("ls-tree", "--name-only", "perf", at=two) == "history.jsonl"


def test_branches_that_went_apart_come_together(
    team: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both exported before either fetched: the next export has both, and can be pushed."""
    for number, clone in enumerate(team, 1):
        monkeypatch.chdir(clone)
        journal.append(HISTORY, [run_row(number)])
        assert runs("export", "--branch", "perf") == 0
    git("push", "-q", "origin", "perf", at=team[0])
    git("fetch", "-q", at=team[1])
    assert runs("export", "--branch", "perf") == 0
    git("push", "-q", "origin", "perf", at=team[1])

    rows = git("show", "perf:history.jsonl", at=team[1])
    assert rows.splitlines() == [run_row(1).line(), run_row(2).line()]


def test_a_branch_that_is_not_for_a_history_is_refused(
    team: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with code, one that is checked out, and one that is not there; nothing changes."""
    monkeypatch.chdir(team[0])
    journal.append(HISTORY, [run_row(1)])
    git("branch", "code", at=team[0])
    before = git("for-each-ref", at=team[0])
    for command, branch, message in (
        ("export", "main", "it is checked out in "),
        ("export", "code", "it has no history.jsonl"),
        ("export", "a..b", "no name of a branch"),
        ("import", "code", "it has no history.jsonl"),
        ("import", "gone", "no such branch in "),
    ):
        with pytest.raises((RecordError, UsageError), match=message):
            runs(command, "--branch", branch)

    assert git("for-each-ref", at=team[0]) == before
    assert known() == [run_row(1)]
