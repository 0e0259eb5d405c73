"""Reads TOML files, and reports all mistakes in a file as a single error that names line and key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .lines import dotted, lines_by_key
from .validation import Violation


def read_text(path: Path, error: type[UsageError]) -> str:
    """Read the text of the file.

    Raises:
        UsageError: As *error*: the file cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise error(f"{path}: cannot be read: {exc.strerror}") from None
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise error(f"{path}:{line}: not UTF-8: byte 0x{data[exc.start]:02x}") from None


def parse(path: Path, text: str, error: type[UsageError]) -> dict[str, Any]:
    """Parse the content of the file.

    Raises:
        UsageError: As *error*: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        # Before Python 3.14, only the message has the line.
        what, _, where = str(exc).rpartition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = found[1] if found else len(text.splitlines())
        raise error(f"{path}:{line}: not TOML: {what}") from None


def refusal(
    path: Path,
    text: str,
    found: Sequence[Violation],
    error: type[UsageError],
    *,
    origins: Mapping[str, str] | None = None,
) -> UsageError:
    """One error for all violations: the first one in the file is the message, the others are notes.

    Missing keys come last, because often a misspelt key is the cause. *origins* maps each key that was set by
    an override to the text of the override.
    """
    lines, origins = lines_by_key(text), origins or {}
    placed: list[tuple[float, str, str]] = []
    for one in found:
        above = [dotted(one.key[:length]) for length in range(len(one.key), 0, -1)]
        set_by = next((origins[key] for key in above if key in origins), None)
        line = next((lines[key] for key in above if key in lines), None)
        if set_by is not None:
            place, rank = f"--set {set_by}", math.inf
        else:
            place = f"{path}:{line}" if line else str(path)
            rank = math.inf if one.missing or line is None else line
        placed.append((rank, f"{place}: {dotted(one.key)}: {one.message}", one.note))
    placed.sort(key=itemgetter(0))
    (_, message, note), *others = placed
    exc = error(message)
    for advice in filter(None, (note, *(other for _, other, _ in others))):
        exc.add_note(advice)
    return exc
