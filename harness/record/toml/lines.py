"""Finds the line of each key in a TOML file, since `tomllib` gives no positions.

Each TOML statement (a header, or a key with its value) is a valid document. So the file is split into the
shortest pieces that `tomllib` accepts, and each piece is parsed for the keys that it defines. `tomllib` alone
handles quotes, dots, multi-line strings and arrays.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

Key = tuple[str | int, ...]  # ("faults", 0, "block_ms")


def dotted(key: Key) -> str:
    """The key in dotted form: ``faults.0.block_ms``."""
    return ".".join(map(str, key))


def lines_by_key(text: str) -> dict[str, int]:
    """The first line, counted from 1, of each table and key in a valid TOML *text*.

    Keys are dotted, so ``"a.b"`` and ``a.b`` are the same. Keys inside a value of several lines have the line
    on which the value begins.
    """
    found: dict[str, int] = {}
    lengths: dict[Key, int] = {}  # of arrays of tables
    table: Key = ()
    for line, statement in _statements(text):
        content = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _open_table(content, lengths)
            defined = [table[:depth] for depth in range(1, len(table) + 1)]
        else:
            defined = [table + key for key in _keys(content)]
        for key in defined:
            found.setdefault(dotted(key), line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements, comments and empty lines of a valid document, each with its first line number."""
    pending, first = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        pending += line + "\n"
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:  # the value continues on the next line
            continue
        yield first, pending
        pending, first = "", number + 1


def _open_table(header: dict[str, object], lengths: dict[Key, int]) -> Key:
    """The key of the table that a header opens; ``[[x]]`` opens the next item of its array."""
    key: Key = ()
    content: object = header
    while isinstance(content, dict) and content:
        [(name, content)] = content.items()
        key += (name,)
        if isinstance(content, list):
            lengths[key] = lengths.get(key, 0) + 1
        if key in lengths:
            key += (lengths[key] - 1,)
    return key


def _keys(content: object) -> Iterator[Key]:
    if not isinstance(content, dict | list):
        return
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (name,)
        yield from ((name, *rest) for rest in _keys(value))
