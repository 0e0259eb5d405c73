"""`harness bench` with two revisions of a git repository."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.drive.bench.checkout import Repository
from harness.drive.bench.scratch import RUNS, clear_left_behind, scratch_folder
from harness.errors import UsageError
from tests.support.commanded import Ended, harness, running, wait
from tests.support.no_bytecode import without_bytecode

# Figures that the program tells by itself, so that the machine's speed decides nothing.
APP = """# prints
echo '{{"cpu_ms": {cpu_ms}, "wall_ms": 60, "peak_mb": 20}}'
"""
COMMAND = "sh app.sh"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, cpu_ms: float, message: str) -> None:
    (repository / "app.sh").write_text(APP.format(cpu_ms=cpu_ms))
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", message)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, of which the second is slower."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("bench\nfirst\nrun\n__pycache__\n")
    commit(folder, 50, "first")
    commit(folder, 60, "second")
    return folder


def bench(cwd: Path, *options: object, env: dict[str, str] | None = None) -> Ended:
    given = ("--command", COMMAND, "--no-why", "--same-environment", *options)
    return harness("bench", *given, cwd=cwd, env=env)


def trees(repository: Path) -> list[str]:
    return [
        line for line in git(repository, "worktree", "list", "--porcelain").splitlines() if "worktree" in line
    ]


def test_a_slower_revision_is_found_and_nothing_stays(repository: Path) -> None:
    """Each side runs its own files; the work trees are removed, and the present one is as it was."""
    ended = bench(repository, "--base", "HEAD~1", "--head", "main", "--out", "bench", "--json")
    decided = json.loads(ended.stdout)

    assert ended.status == 1
    assert decided["sentence"].startswith("slower: cpu_ms 50 ms → 60 ms")
    assert decided["base"]["commit"] == git(repository, "rev-parse", "--short=12", "HEAD~1")
    assert decided["head"]["what"].endswith("app.sh at main")
    assert len(trees(repository)) == 1
    assert git(repository, "status", "--porcelain") == ""


def test_what_is_not_committed_is_told(repository: Path) -> None:
    """Without a head, it is the head; with one, it is on no side."""
    (repository / "app.sh").write_text(APP.format(cpu_ms=25))
    here = bench(repository, "--base", "HEAD~1", "--out", "first")
    named = bench(repository, "--base", "HEAD~1", "--head", "HEAD")

    assert here.stdout.startswith("faster: cpu_ms 50 ms → 25 ms")
    assert "1 file has changes that are not committed; they are a part of the head" in here.stdout
    assert named.stdout.startswith("slower: cpu_ms 50 ms → 60 ms")
    assert "they are in neither side" in named.stdout


def test_a_folder_below_the_top_is_the_same_folder_in_each_revision(repository: Path) -> None:
    """The program runs in the folder from which the command was given."""
    below = repository / "below"
    below.mkdir()
    (below / "app.sh").write_text(APP.format(cpu_ms=7))
    commit(repository, 60, "third")
    (below / "app.sh").write_text(APP.format(cpu_ms=70))
    commit(repository, 60, "fourth")
    ended = bench(below, "--base", "HEAD~1", "--head", "HEAD")

    assert ended.stdout.startswith("slower: cpu_ms 7 ms → 70 ms")


def test_a_revision_that_is_not_there_ends_with_2(repository: Path, tmp_path: Path) -> None:
    """A typing mistake, a clone that is too shallow, and no repository each have their own message."""
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    wrong = bench(repository, "--base", "no-such")
    shallow = bench(tmp_path / "shallow", "--base", git(repository, "rev-parse", "HEAD~1"))
    outside = bench(tmp_path, "--base", "main")

    assert [one.status for one in (wrong, shallow, outside)] == [2, 2, 2]
    assert "no-such: no such revision in " in wrong.stderr
    assert "this clone is shallow, and does not have that revision" in shallow.stderr
    assert "fetch-depth: 0" in shallow.stderr
    assert "not in a git repository" in outside.stderr


def test_a_revision_that_fails_leaves_no_work_tree(repository: Path) -> None:
    """The side that fails is named, with 4."""
    (repository / "app.sh").write_text("echo no such table; exit 1")
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "broken")
    ended = bench(repository, "--base", "HEAD~1", "--head", "HEAD")

    assert ended.status == 4
    assert ended.stderr.startswith("harness: head: the program ended with status 1\n  no such table")
    assert len(trees(repository)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_work_trees_are_removed_however_it_ends(repository: Path, tmp_path: Path, number: int) -> None:
    """Also after `kill -9`, when git only has to be told."""
    (repository / "app.sh").write_text("sleep 300")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "hangs")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    given = ("--command", COMMAND, "--same-environment", "--base", "HEAD", "--head", "HEAD~1")
    with running("bench", *given, cwd=repository, out="bench", env={"TMPDIR": str(temporary)}) as run:
        wait(lambda: "sh app.sh " in run.processes().values(), within_s=60)
        assert len(trees(repository)) == 3
        run.process.send_signal(number)
        ended = run.ended()
        assert run.all_gone()

    assert ended.status == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGKILL:
        git(repository, "worktree", "prune")
    assert len(trees(repository)) == 1
    assert not list(temporary.glob("harness-revisions-*"))


def test_a_work_tree_that_git_was_making_is_forgotten(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git locks one while it makes it, and prunes no locked one; one that somebody else has locked stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for path in ("harness-revisions-killed/0-abc", "theirs"):
        git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / path))
        git(repository, "worktree", "lock", str(tmp_path / path))
        shutil.rmtree(tmp_path / path)
    with Repository.around(repository).checkouts("HEAD~1"):
        during = trees(repository)

    assert len(during) == 3
    assert [line.rpartition("/")[2] for line in trees(repository)] == ["shop", "theirs"]


def test_only_what_is_ours_and_nobodys_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file of such a name, nor what a link leads to, nor what is held."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "precious").mkdir()
    (tmp_path / "harness-bench-link").symlink_to(tmp_path / "precious")
    (tmp_path / "harness-bench-file").write_text("")
    (tmp_path / "harness-bench-left").mkdir()
    (tmp_path / "harness-bench-left" / "stdout").write_text("x")
    with scratch_folder(RUNS) as held:
        clear_left_behind()
        assert held.is_dir()
    kept = {path.name for path in tmp_path.iterdir()}

    assert kept == {"precious", "harness-bench-link", "harness-bench-file"}


def test_changed_lines_are_those_of_the_head(repository: Path) -> None:
    """By file and number; the present files count where no head is named."""
    of = Repository.around(repository)
    (repository / "new.py").write_text("one\ntwo\n")
    git(repository, "add", ".")

    assert of.changed_lines("HEAD~1", "HEAD") == {"app.sh": {2}}
    assert of.changed_lines("HEAD", "") == {"new.py": {1, 2}}
    with pytest.raises(UsageError):
        of.commit("--help")


SLOW_BUILD = """
[build-system]
requires = []
build-backend = "building"
backend-path = ["."]
[project]
name = "shop"
version = "1"
"""


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_end_while_a_revision_is_installed_leaves_nothing(
    repository: Path, tmp_path: Path, number: int
) -> None:
    """130; neither a work tree, nor half an environment, nor what pip has started to build it."""
    (repository / "pyproject.toml").write_text(SLOW_BUILD)
    (repository / "building.py").write_text("import time\ndef build_wheel(*_, **__): time.sleep(300)\n")
    commit_all(repository, "takes long to build")
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    temporary.mkdir()
    env = {"XDG_CACHE_HOME": str(cache), "PIP_NO_INDEX": "1", "TMPDIR": str(temporary)}
    given = ("--command", COMMAND, "--base", "HEAD", "--head", "HEAD~1")
    with running("bench", *given, cwd=repository, out="bench", env=env) as run:
        wait(lambda: any("build_wheel " in one for one in run.processes().values()), within_s=400)
        run.process.send_signal(number)
        ended = run.ended()
        assert run.all_gone()

    if number == signal.SIGINT:
        assert ended.status == 130
        assert len(trees(repository)) == 1
        assert [path for path in (cache / "harness/environments").iterdir() if path.is_dir()] == []
    assert list(temporary.glob("harness-*")) == []


def test_a_revision_for_which_there_is_no_room_ends_with_3(repository: Path, tmp_path: Path) -> None:
    """git cannot write its files; what it has written is removed."""
    (repository / "large").write_bytes(bytes(200_000))
    commit_all(repository, "a large file")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    given = ("--command", shlex.quote(COMMAND), "--same-environment", "--base", "HEAD~1", "--head", "HEAD")
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 100; exec {sys.executable} -m harness bench {' '.join(given)}"],
        cwd=repository,
        env={**without_bytecode(), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 3
    assert "HEAD: cannot be checked out: " in done.stderr
    assert len(trees(repository)) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.long
def test_an_environment_is_made_once_for_the_same_files(repository: Path, tmp_path: Path) -> None:
    """A revision that asks for other packages has another one; one that cannot be installed ends with 4."""
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    (repository / "requirements.txt").write_text("# nothing\n")
    (repository / "app.py").write_text("import sys\nprint('{\"prefix\": %d}' % len(sys.prefix))")
    commit_all(repository, "with requirements")
    (repository / "other.py").write_text("")
    commit_all(repository, "same requirements")
    (repository / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    commit_all(repository, "cannot be installed")
    given = ("--command", "python app.py", "--no-why", "--metric", "prefix")
    same, broken = (
        patiently(repository, *given, "--base", base, "--head", head, "--out", out, env=cache)
        for base, head, out in (("HEAD~2", "HEAD~1", "bench"), ("HEAD~1", "HEAD", "b"))
    )
    kept = [path for path in (tmp_path / "cache/harness/environments").iterdir() if path.is_dir()]

    assert same.status == 0
    # The environment's own Python ran.
    assert ["prefix", str(len(str(kept[0])))] in [line.split()[:2] for line in same.stdout.splitlines()]
    assert len(kept) == 1
    assert "installing HEAD~2 (" in same.stderr
    assert "installing HEAD~1 (" not in same.stderr
    assert broken.status == 4
    assert "HEAD (" in broken.stderr
    assert "no-such-package-anywhere" in broken.stderr
    assert len(trees(repository)) == 1


def commit_all(repository: Path, message: str) -> None:
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", message)


def patiently(cwd: Path, *options: str, env: dict[str, str]) -> Ended:
    """It makes environments, which takes a while on a busy machine."""
    with running("bench", *options, cwd=cwd, env=env) as run:
        return run.ended(within_s=300)
