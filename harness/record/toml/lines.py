"""On which line of a TOML file a key stands; `tomllib` gives no positions.

A statement of TOML (one header, or one key with its value) is a TOML document of its own. So the file is cut
into the shortest pieces that `tomllib` accepts, and each piece tells which keys it defines. No grammar is
repeated here: quotes, dots, multi-line strings and arrays are `tomllib`'s business.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

Key = tuple[str | int, ...]  # ("faults", 0, "block_ms")


def dotted(key: Key) -> str:
    """The key as people write it: ``faults.0.block_ms``."""
    return ".".join(map(str, key))


def lines_by_key(text: str) -> dict[str, int]:
    """The line, counted from 1, on which each table and key of a valid TOML *text* first stands.

    Keys are dotted, so ``"a.b"`` and ``a.b`` are one. What stands inside a value that spans several lines
    has the line on which the value begins.
    """
    found: dict[str, int] = {}
    lengths: dict[Key, int] = {}  # of the arrays of tables
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
    """The statements, comments and empty lines of a valid document, each with its first line's number."""
    pending, first = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        pending += line + "\n"
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:  # the value goes on in the next line
            continue
        yield first, pending
        pending, first = "", number + 1


def _open_table(header: dict[str, object], lengths: dict[Key, int]) -> Key:
    """The table that a header opens; ``[[x]]`` opens the next one of its array."""
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
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(content, dict):
        items = iter(content.items())
    elif isinstance(content, list):
        items = iter(enumerate(content))
    for name, value in items:
        yield (name,)
        yield from ((name, *rest) for rest in _keys(value))
