"""The programs of `programs/`: one for each public function of a file, which is about one kind of trouble."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "programs"
# What the programs share, and is none.
_SHARED = ("__init__", "play")


@dataclass(frozen=True, slots=True)
class Program:
    """One healthy program."""

    subject: str  # what it looks like: the name of its file
    name: str

    @property
    def title(self) -> str:
        return f"{self.subject}.{self.name}"

    @property
    def options(self) -> tuple[str, ...]:
        """Of `harness watch`, beyond those that all have."""
        return ("--waits",) if self.subject == "traces" else ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of Python."""
        return "-m", f"tests.healthy.programs.{self.subject}", self.name


def roster(*asked: str) -> tuple[Program, ...]:
    """All programs, or those whose title has one of the texts in it.

    The files are read, and not imported: they are programs, and import what they need.
    """
    found = [
        Program(file.stem, node.name)
        for file in sorted(FOLDER.glob("*.py"))
        if file.stem not in _SHARED
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    ]
    return tuple(one for one in found if not asked or any(text in one.title for text in asked))
