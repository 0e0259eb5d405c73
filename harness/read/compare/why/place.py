"""Places in the code of the head, and whether the commit changed them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """The lines that the head has and the base has not."""

    top: str = ""  # the folder that the files were run from; "" if nothing is known of changes
    lines: Mapping[str, Set[int]] = field(default_factory=dict)  # by file below *top*

    def file(self, file: str) -> str:
        """*file* below the folder, or as it is."""
        path = PurePath(file)
        return str(path.relative_to(self.top)) if self.top and path.is_relative_to(self.top) else file

    def among(self, file: str, lines: Set[int]) -> bool:
        """Whether one of the *lines* was changed."""
        return bool(self.lines.get(self.file(file), set()) & lines)

    def within(self, file: str, first: int, last: int) -> bool:
        """Whether a line from *first* to *last* was changed."""
        return any(first <= line <= last for line in self.lines.get(self.file(file), ()))
