"""The two revisions that are compared, each in its place: files, and an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .checkout import Checkout, Repository
from .scenario_run import SidePlace
from .venv import FILES, PRESENT, venv_of

HERE = "the files here"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision, as it was named, with its commit; of the present files, the commit below them."""

    name: str
    commit: str

    @property
    def is_here(self) -> bool:
        """Whether it is the present files, with what is not committed."""
        return self.name == HERE


@dataclass(frozen=True, slots=True)
class Revisions:
    """Base and head of one repository."""

    repository: Repository
    both: tuple[Revision, Revision]

    @classmethod
    def named(cls, base: str, head: str | None, *, around: Path) -> Revisions:
        """The revisions of the repository around a folder; a head that is not named is the present files.

        Raises:
            UsageError: There is no repository, or no such revision.
        """
        repository = Repository.around(around)
        last = Revision(head, repository.commit(head)) if head else Revision(HERE, repository.commit("HEAD"))
        return cls(repository, (Revision(base, repository.commit(base)), last))

    @contextmanager
    def places(
        self, install: Sequence[str], *, same_environment: bool, tell: Callable[[str], None]
    ) -> Iterator[tuple[SidePlace, SidePlace]]:
        """Both sides, for the duration of the ``with`` block.

        Raises:
            TargetError: A revision cannot be installed.
            OutputError: A revision cannot be checked out.
        """
        named = [revision.name for revision in self.both if not revision.is_here]
        with self.repository.checkouts(*named) as checkouts:
            if len(checkouts) < len(self.both):
                top = self.repository.top
                checkouts += (Checkout(HERE, self.both[1].commit, top, top),)
            base, head = (
                SidePlace(one, PRESENT if same_environment else venv_of(one, install, tell))
                for one in checkouts
            )
            yield base, head

    def same_dependencies(self) -> bool:
        """Whether both name the same packages, so that one environment has what both need."""
        base, head = self.both
        return not self.repository.differ(base.commit, "" if head.is_here else head.commit, FILES)

    def changed_lines(self) -> dict[str, set[int]]:
        """Per file, the lines of the head that the base has not."""
        base, head = self.both
        return self.repository.changed_lines(base.commit, "" if head.is_here else head.commit)

    def notes(self) -> tuple[str, ...]:
        """What should be known of them."""
        head = self.both[1]
        count = self.repository.uncommitted()
        if not count:
            return ()
        files = "1 file has" if count == 1 else f"{count} files have"
        if head.is_here:
            return (f"{files} changes that are not committed; they are a part of the head",)
        return (f"{files} changes that are not committed; they are in neither side",)
