"""Markdown for the hosts of CI: names that stay text, and folded sections that fit into a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..units import plural, printable

# A comment on GitHub takes 65,536 characters. The rest is for what a workflow adds to it.
MAX_BYTES = 60_000
# Left for the names of the sections that are left out, and for the end of one that is cut.
_RESERVE_BYTES = 1_000
# A table that is cut here has no row.
_HEADING = 2
# Of one name or sentence: a generated name can be as long as it likes.
LETTERS = 300


@dataclass(frozen=True, slots=True)
class Section:
    """Details below a title that unfolds them."""

    title: str  # plain words, since hosts show no Markdown in it
    lines: tuple[str, ...]


def text(raw: str, letters: int = LETTERS) -> str:
    """*raw* with all markup of Markdown and HTML escaped; it mentions nobody, and refers to no issue."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~@!&])", r"\\\1", clipped(printable(raw), letters))
    # Hosts look for mentions in the text that is left when the escapes are gone.
    return re.sub(r"([@#!])(?=\w)", r"\1&#8203;", escaped)


def code(raw: str) -> str:
    """*raw* as code inside a table; it can end neither the code nor the cell."""
    return "`" + clipped(printable(raw), LETTERS).replace("`", "'").replace("|", "¦") + "`"


def clipped(raw: str, letters: int) -> str:
    """*raw*, with an ellipsis in place of what exceeds so many letters."""
    return raw if len(raw) <= letters else raw[: letters - 1] + "…"


def fitted(head: Iterable[str], sections: Iterable[Section], max_bytes: int = MAX_BYTES) -> str:
    """One document of at most *max_bytes*: first the head, then the sections while there is room.

    What is cut is named. The head itself is cut only if it exceeds the limit alone.
    """
    room = max_bytes - _RESERVE_BYTES
    lines = _within(list(head), room)
    left_out = []
    for section in sections:
        before = ["", "<details>", f"<summary>{section.title}</summary>", ""]
        after = ["", "</details>"]
        kept = _within(section.lines, room - _size([*lines, *before, *after]))
        if kept:
            lines += [*before, *kept, *after]
        else:
            left_out.append(section.title)
    if left_out:
        lines += ["", clipped(f"Left out, to stay small: {'; '.join(left_out)}.", _RESERVE_BYTES // 4)]
    return "\n".join(lines) + "\n"


def _within(lines: Sequence[str], room: int) -> list[str]:
    """The lines, up to the first that exceeds the room, and one that says so; none if few are left."""
    for index, line in enumerate(lines):
        room -= _size([line])
        if room < 0 and index <= _HEADING:
            return []
        if room < 0:
            more = plural(len(lines) - index, "more line")
            return [*lines[:index], "", f"… cut here: {more}. report.html has all."]
    return list(lines)


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode(errors="replace")) + 1 for line in lines)
