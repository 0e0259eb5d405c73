"""Lines for a terminal of any width: words and figures stay whole, and no line has trailing blanks.

Without a width, as in a pipe or a file, every row is one line, so that a log can be searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

# The column of labels, and the blanks between two columns.
LABEL, GAP = 9, 2
# A table whose text has fewer columns than this is shown as a list instead.
LEAST_TEXT = 36
INDENT = 4
# Where a word that is longer than the line is cut, rather than anywhere.
_SEAMS = "/._-,:("
# A blank within a figure: ``66.6 ms``, ``± 30.8 ms``.
_BOUND = re.compile(r"(?<=\d) (?=(?:ms|µs|s|%)(?!\w))|(?<=±) ")


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """A text beside a short label, such as ``hint`` or ``✓``."""

    label: str
    text: Text
    style: str = "dim"
    whole: bool = False  # never cut: a path, to be copied


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One entry: a text of some lines, and a figure for each column; "" for none."""

    text: tuple[Text, ...]
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FigureTable:
    """Entries with figures in columns; on a narrow terminal a list, with a name beside each figure."""

    heading: str  # of the texts
    columns: tuple[str, ...]
    rows: tuple[FigureRow, ...]
    figures_first: bool = False  # before the texts, which are long

    def lines(self, width: int | None) -> Iterator[Text]:
        """The table, or the list, in lines of at most *width* cells."""
        widths = [
            max(map(cell_len, (name, *(row.figures[n] for row in self.rows))))
            for n, name in enumerate(self.columns)
        ]
        longest = max(line.cell_len for row in self.rows for line in (Text(self.heading), *row.text))
        room = longest if width is None else min(longest, width - sum(widths) - GAP * len(widths))
        if room < min(longest, LEAST_TEXT):
            assert width is not None
            yield from self._list(width)
            return
        heading = (Text(self.heading, style="dim"),)
        yield from self._row(heading, self.columns, widths, room, style="dim")
        for row in self.rows:
            yield from self._row(row.text, row.figures, widths, room)

    def _row(
        self, texts: Sequence[Text], figures: Iterable[str], widths: Sequence[int], room: int, style: str = ""
    ) -> Iterator[Text]:
        cells = (" " * (width - cell_len(text)) + text for text, width in zip(figures, widths, strict=True))
        beside = Text((" " * GAP).join(cells), style=style)
        first, *others = [line for text in texts for line in wrapped(text, room)]
        if self.figures_first:
            yield Text.assemble(beside, " " * GAP, first)
            yield from (Text.assemble(" " * (beside.cell_len + GAP), line) for line in others)
        else:
            yield _bare(Text.assemble(first, " " * (room - first.cell_len + GAP), beside))
            yield from others

    def _list(self, width: int) -> Iterator[Text]:
        yield Text(self.heading, style="dim")
        for row in self.rows:
            for number, text in enumerate(row.text):
                yield from _indented(text, width, INDENT if number else 0)
            named = [f"{name} {text}" for name, text in zip(self.columns, row.figures, strict=True) if text]
            yield from (Text(" " * INDENT + line) for line in _joined(named, width - INDENT))


Part = Text | LabelledLine | FigureTable


def lines(part: Part, width: int | None) -> Iterator[Text]:
    """*part* in lines of at most *width* cells; `None` for no limit."""
    match part:
        case LabelledLine():
            label = Text(" " * max(0, LABEL - cell_len(part.label)) + part.label, style=part.style)
            room = None if width is None or part.whole else width - label.cell_len - GAP
            first, *others = wrapped(part.text, room)
            yield _bare(Text.assemble(label, " " * GAP, first))
            yield from (Text.assemble(" " * (label.cell_len + GAP), line) for line in others)
        case FigureTable():
            yield from part.lines(width)
        case _:
            yield from wrapped(part, width)


def wrapped(text: Text, width: int | None) -> list[Text]:
    """*text* in lines of at most *width* cells, cut between words, in a long word after a separator."""
    found = []
    while width is not None and text.cell_len > max(width, 1):
        end = _end(text.plain, max(width, 1))
        found.append(_bare(text[:end]))
        text = text[end + len(text.plain[end:]) - len(text.plain[end:].lstrip(" ")) :]
    return [*found, _bare(text)]


def _end(plain: str, width: int) -> int:
    """Where the first line of *plain* ends."""
    end, cells = 0, 0
    while end < len(plain) and (cells := cells + cell_len(plain[end])) <= width:
        end += 1
    end = max(end, 1)
    bound = {found.start() for found in _BOUND.finditer(plain)}
    spaces = (at for at in range(end, 0, -1) if plain[at : at + 1] == " " and at not in bound)
    if (space := next(spaces, 0)) and plain[:space].strip():
        return space
    return max((plain.rfind(seam, 1, end) for seam in _SEAMS), default=-1) + 1 or end


def _indented(text: Text, width: int, indent: int) -> Iterator[Text]:
    for line in wrapped(text, width - indent):
        yield Text.assemble(" " * indent, line)


def _joined(named: Sequence[str], width: int) -> list[str]:
    """The figures in lines, each whole on one."""
    rows: list[str] = []
    for one in named:
        if rows and cell_len(f"{rows[-1]}, {one}") <= width:
            rows[-1] += f", {one}"
        else:
            rows.append(one)
    return rows


def _bare(text: Text) -> Text:
    """*text* without blanks at its end."""
    text = text.copy()
    text.rstrip()
    return text
