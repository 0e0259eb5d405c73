"""Places in the code of the head, and whether the commit changed them."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePath

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


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

    def function(self, file: str, lines: Set[int]) -> bool:
        """Whether a line of the function was changed that has the *lines*, sampled or not."""
        changed = self.lines.get(self.file(file), frozenset())
        return bool(changed) and not changed.isdisjoint(_function_lines(Path(self.top, file), lines))


def _function_lines(path: Path, lines: Set[int]) -> Set[int]:
    """The lines of the innermost function that has all of the *lines*; these alone where there is none."""
    try:
        with tokenize.open(path) as source:
            nodes = list(ast.walk(ast.parse(source.read())))
    except (OSError, SyntaxError, ValueError):
        return lines
    functions = [
        range(min(at.lineno for at in (node, *getattr(node, "decorator_list", ()))), node.end_lineno + 1)
        for node in nodes
        if isinstance(node, _FUNCTIONS) and node.end_lineno is not None
    ]
    around = [function for function in functions if all(line in function for line in lines)]
    return set(min(around, key=len, default=lines))
