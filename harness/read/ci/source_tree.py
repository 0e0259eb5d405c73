"""The checked-out repository, to whose files the hosts of CI attach what they show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

# Folders of installed packages, which may lie inside the repository and are not part of it.
_INSTALLED = {"site-packages", "dist-packages", "node_modules"}
_LARGEST_SOURCE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The files below *root*."""

    root: Path

    @classmethod
    def around(cls, folder: Path) -> SourceTree:
        """The git repository that *folder* lies in; without one, *folder* itself."""
        inside = folder.resolve()
        return cls(next((each for each in (inside, *inside.parents) if (each / ".git").exists()), inside))

    def path(self, file: str, line: int | None = None) -> str:
        """*file* relative to the root, with slashes; "" if it is no file of the repository.

        A path of another machine, as of a container that the program ran in, is found by its last parts, if
        they lead to a file that has this line.
        """
        recorded = PurePath(file)
        if not file or file.startswith("<") or _INSTALLED.intersection(recorded.parts):
            return ""
        try:
            there = Path(file).resolve() if recorded.is_absolute() else self.root / recorded
            if there.is_file():
                return there.relative_to(self.root).as_posix() if there.is_relative_to(self.root) else ""
        except (OSError, ValueError):
            return ""
        parts = [part for part in recorded.parts if part != recorded.anchor]
        if any(part.startswith("python3") for part in parts):
            return ""
        tails = (PurePath(*parts[n:]) for n in range(len(parts)))
        found = (tail for tail in tails if ".." not in tail.parts and len(self._lines(tail)) >= (line or 1))
        tail = next(found, None)
        return tail.as_posix() if tail is not None else ""

    def source(self, path: str, line: int | None) -> str:
        """The text of that line without its indentation; "" if it cannot be read."""
        lines = self._lines(PurePath(path)) if path and line else ()
        return lines[line - 1].strip() if line and 0 < line <= len(lines) else ""

    def _lines(self, path: PurePath) -> tuple[str, ...]:
        return _lines_of(self.root / path)


@cache
def _lines_of(path: Path) -> tuple[str, ...]:
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST_SOURCE_BYTES:
            return tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except (OSError, ValueError):
        pass
    return ()
