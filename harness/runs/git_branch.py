"""A history in a branch of a git repository: what a team shares without a server.

The branch holds one file, a journal. It is read and written without a checkout, so nothing in the working
directory changes; it is fetched and pushed by git, when somebody asks git to.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecordError, UsageError
from . import intake, journal
from .row import HistoryRow

FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Exported:
    """What a branch has now."""

    rows: int
    new: int
    commit: str  # "" if there was nothing new


def rows_on(branch: str, *, repository: Path) -> list[HistoryRow]:
    """The rows in *branch*, or in the one of that name that was fetched from `origin`.

    Raises:
        RecordError: There is no such branch, or it has no history, or a damaged one.
    """
    tips = _tips(branch, repository)
    if not tips:
        raise RecordError(f"--branch {branch}: no such branch in {repository}")
    return [each for tip in tips for each in _rows_at(tip, branch, repository)]


def export(rows: Iterable[HistoryRow], branch: str, *, repository: Path) -> Exported:
    """Commit to *branch* what it has together with *rows*; the branch is made if there is none.

    Raises:
        RecordError: The branch has a damaged history.
        UsageError: git refuses.
    """
    if not _git("check-ref-format", "--branch", branch, at=repository, may_fail=True):
        raise UsageError(f"--branch {branch}: no name of a branch")
    if checked_out := _git("for-each-ref", "--format=%(worktreepath)", f"refs/heads/{branch}", at=repository):
        raise UsageError(
            f"--branch {branch}: it is checked out in {checked_out}, expected one for the history"
        )
    old = _git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", at=repository, may_fail=True)
    tips = _tips(branch, repository)
    had = journal.latest([each for tip in tips for each in _rows_at(tip, branch, repository)])
    whole = [each for each in rows if each.is_whole]
    merged = journal.latest([*whole, *had.values()])
    new = len(merged) - len(had)
    # What was fetched from elsewhere and holds nothing that is new becomes a parent, too: a push needs it.
    if not new and tips == [old]:
        return Exported(len(merged), 0, "")
    text = "".join(f"{line}\n" for line in sorted(each.line() for each in merged.values()))
    blob = _git("hash-object", "-w", "--stdin", at=repository, text=text)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if tips:
            _git("read-tree", tips[0], at=repository, env=index)
        _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{FILE}", at=repository, env=index)
        tree = _git("write-tree", at=repository, env=index)
    parents = [part for tip in tips for part in ("-p", tip)]
    message = f"{new} new rows in the history of runs"
    commit = _git("commit-tree", tree, *parents, "-m", message, at=repository)
    # Only if nobody else has moved the branch meanwhile.
    _git("update-ref", f"refs/heads/{branch}", commit, old or "0" * len(commit), at=repository)
    return Exported(len(merged), new, commit)


def _tips(branch: str, repository: Path) -> list[str]:
    """The commits of the branch here and at `origin`, without one that the other one has in it."""
    names = [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}", f"refs/remotes/{branch}"]
    found = [
        commit
        for name in names
        if (commit := _git("rev-parse", "--verify", "--quiet", name, at=repository, may_fail=True))
    ]
    if len(set(found)) < 2:
        return found[:1]
    # In this order, so that the first parent is the branch's own, unless it is behind.
    left = _git("merge-base", "--independent", *found, at=repository).split()
    return [commit for commit in dict.fromkeys(found) if commit in left]


def _rows_at(commit: str, branch: str, repository: Path) -> list[HistoryRow]:
    if not _git("ls-tree", "--name-only", commit, FILE, at=repository):
        raise RecordError(f"--branch {branch}: it has no {FILE}")
    text = _git("show", f"{commit}:{FILE}", at=repository)
    return intake.rows_of(text.encode(), f"{branch}:{FILE}")


def _git(
    *arguments: str,
    at: Path,
    text: str | None = None,
    env: dict[str, str] | None = None,
    may_fail: bool = False,
) -> str:
    command = ["git", "-C", str(at), *arguments]
    try:
        done = subprocess.run(
            command,
            input=text,
            env={**os.environ, **(env or {})},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UsageError(f"git: {exc}") from exc
    if done.returncode and not may_fail:
        raise UsageError(f"git {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
    return "" if done.returncode else done.stdout.strip()
