"""Revisions of a git repository, each in a work tree of its own, which does not stay.

The repository's own work tree is not touched, and no branch is made. The guard removes the folder also after
`kill -9`; what git then still knows of it is forgotten at the next time.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import OutputError, UsageError
from ..process.guard import Guard
from .scratch import REVISIONS, scratch_folder

# A repository with submodules or filters takes a while; one that asks for a password never ends.
GIT_WITHIN_S = 300.0
# Where commands leave what they make, unless they are told otherwise.
REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of one revision."""

    revision: str  # as it was named
    commit: str
    path: Path
    top: Path  # of the repository that it was taken from

    def place_of(self, path: Path) -> Path:
        """Where a path of the repository's work tree is here; others stay where they are."""
        return self.path / path.relative_to(self.top) if path.is_relative_to(self.top) else path


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and the first line of its message."""

    id: str
    subject: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository, by the folder of its work tree."""

    top: Path

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """The repository that *folder* belongs to.

        Raises:
            UsageError: There is none, or no git.
        """
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            raise UsageError(f"{folder}: not in a git repository, so it has no revisions")
        return cls(Path(done.stdout.strip()).resolve())

    def commit(self, revision: str) -> str:
        """The commit that a revision names.

        Raises:
            UsageError: There is no such revision, or the clone is too shallow to have it.
        """
        asked = f"{revision}^{{commit}}"
        done = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", asked)
        if done.returncode == 0:
            return done.stdout.strip()
        if self._is_shallow():
            raise _shallow(f"{revision}: this clone is shallow, and does not have that revision")
        raise UsageError(f"{revision}: no such revision in {self.top}")

    def uncommitted(self) -> int:
        """How many files of the work tree differ from its commit, without what the harness itself leaves."""
        asked = ("--no-optional-locks", "status", "--porcelain", "--", ".", f":(exclude){REPORTS}")
        return len(_git(self.top, *asked).stdout.splitlines())

    def between(self, good: str, bad: str) -> tuple[Commit, ...]:
        """The commits from one revision to another, both included, by first parents; oldest first.

        Raises:
            UsageError: *bad* does not come after *good*.
        """
        first, last = self.commit(good), self.commit(bad)
        if _git(self.top, "merge-base", "--is-ancestor", first, last).returncode or first == last:
            if first != last and self._is_shallow():
                raise _shallow(f"this clone is shallow: whether {bad} comes after {good} is not known in it")
            raise UsageError(f"{bad} does not come after {good}")
        listed = _git(
            self.top, "log", "--first-parent", "--reverse", "--format=%H %s", f"{first}..{last}"
        ).stdout
        subject = _git(self.top, "log", "-1", "--format=%s", first).stdout.strip()
        after = [line.partition(" ") for line in listed.splitlines()]
        return (Commit(first, subject), *(Commit(commit, text) for commit, _, text in after))

    def differ(self, base: str, head: str, names: Sequence[str]) -> bool:
        """Whether any of the files *names* of the top differs; without a head, from the present ones."""
        both = (base, head) if head else (base,)
        return _git(self.top, "diff", "--quiet", "--no-ext-diff", *both, "--", *names).returncode != 0

    def changed_lines(self, base: str, head: str) -> dict[str, set[int]]:
        """Per file, by its path in the repository, the lines of *head* that are not in *base*."""
        both = (base, head) if head else (base,)  # without a head, the present files
        done = _git(self.top, "diff", "--unified=0", "--no-color", "--no-ext-diff", *both)
        found: dict[str, set[int]] = {}
        lines: set[int] = set()
        for line in done.stdout.splitlines():
            if line.startswith("+++ "):
                lines = found.setdefault(line.removeprefix("+++ ").removeprefix("b/"), set())
            elif line.startswith("@@"):
                first, _, count = line.split(" ")[2].removeprefix("+").partition(",")
                lines.update(range(int(first), int(first) + int(count or 1)))
        return found

    @contextmanager
    def checkouts(self, *revisions: str) -> Iterator[tuple[Checkout, ...]]:
        """Check each revision out, for the duration of the ``with`` block.

        Raises:
            UsageError: There is no such revision.
            OutputError: It cannot be checked out, for instance since the disk is full.
        """
        commits = [self.commit(revision) for revision in revisions]
        # The folder's name stands in tracebacks, and has the same length on both sides.
        names = [f"{number}-{commit[:12]}" for number, commit in enumerate(commits)]
        with scratch_folder(REVISIONS) as folder:
            self._forget_lost()
            try:
                with Guard(folder):
                    made = zip(revisions, commits, names, strict=True)
                    yield tuple(self._checkout(one, commit, folder / name) for one, commit, name in made)
            finally:
                for name in names:
                    # Whatever was made of it; git locks one that it is making.
                    _git(self.top, "worktree", "remove", "--force", "--force", str(folder / name))
                shutil.rmtree(folder, ignore_errors=True)
                _git(self.top, "worktree", "prune")

    def _checkout(self, revision: str, commit: str, path: Path) -> Checkout:
        done = _git(self.top, "worktree", "add", "--detach", "--force", str(path), commit)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["git worktree add failed"])[-1]
            raise OutputError(f"{revision}: cannot be checked out: {last}")
        return Checkout(revision, commit, path, self.top)

    def _is_shallow(self) -> bool:
        return _git(self.top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"

    def _forget_lost(self) -> None:
        """Have git forget the work trees of comparisons that were killed.

        One that was killed while git made a work tree has left it locked, and git forgets no locked one.
        """
        listed = _git(self.top, "worktree", "list", "--porcelain").stdout.splitlines()
        for path in (Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")):
            if path.parent.name.startswith(REVISIONS) and not path.exists():
                _git(self.top, "worktree", "unlock", str(path))
        _git(self.top, "worktree", "prune")


def _shallow(message: str) -> UsageError:
    exc = UsageError(message)
    exc.add_note("git fetch --unshallow gets all; in GitHub's actions/checkout: fetch-depth: 0")
    return exc


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_WITHIN_S,
            process_group=0,  # a Ctrl-C must not stop it halfway
        )
    except FileNotFoundError:
        raise UsageError("git: no such program on the PATH") from None
    except subprocess.TimeoutExpired:
        raise OutputError(f"git {arguments[0]} did not end within {GIT_WITHIN_S:.0f} s") from None
