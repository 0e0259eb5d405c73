"""The faults that have slipped past the tests before: `known.toml`.

Each ``[[fault]]`` has a ``name``, the ``file``, the text to ``find`` there (once), what it is to ``become``,
and optionally ``tests``, the files or folders that must notice it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from .mutation import Mutation

PATH = Path(__file__).with_name("known.toml")


def known(root: Path) -> list[tuple[Mutation, tuple[str, ...]]]:
    """Each known fault as a mutation of today's code, with its tests.

    Raises:
        ValueError: A text is no longer there, or not once; the fault must be written anew for today's code.
    """
    found = []
    for fault in tomllib.loads(PATH.read_text())["fault"]:
        text = (root / fault["file"]).read_text()
        if text.count(fault["find"]) != 1:
            times = text.count(fault["find"])
            raise ValueError(f"{fault['name']}: {fault['file']} has the text {times} times, expected once")
        start = text.index(fault["find"])
        mutation = Mutation(
            file=fault["file"],
            line=text.count("\n", 0, start) + 1,
            start=start,
            end=start + len(fault["find"]),
            was=fault["find"],
            to=fault["become"],
            name=fault["name"],
        )
        found.append((mutation, tuple(fault.get("tests", ()))))
    return found
