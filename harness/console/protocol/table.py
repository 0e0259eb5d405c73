"""A command's rows: filtered, sorted and paged as requested, and formatted as text."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..sanitize import printable
from .errors import OptionError
from .result import Rows

Row = tuple[object, ...]

GAP = "  "
# Minimum column width; below it the whole line is truncated.
NARROWEST = 8


@dataclass(frozen=True, slots=True)
class Table:
    """The part of the rows that is shown."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    first: int  # rows before this page
    total: int  # rows after the filter
    paragraph: Callable[[Row], Iterable[str]] | None = None  # as in `Rows`


def select(rows: Rows, options: Namespace) -> Table:
    """The rows that *options* ask for.

    Raises:
        OptionError: They name an unknown column.
    """
    chosen: Sequence[Row] = rows.rows
    if options.filter:
        chosen = _filtered(rows, options.filter)
    if options.sort:
        index = _index(rows.columns, options.sort.removeprefix("-"))
        # Unknown values come last in both directions.
        known = [row for row in chosen if row[index] is not None]
        unknown = [row for row in chosen if row[index] is None]
        known.sort(key=lambda row: _rank(row[index]), reverse=options.sort.startswith("-"))
        chosen = known + unknown
    first = (options.page - 1) * options.limit
    shown = chosen[first : first + options.limit]
    return Table(rows.columns, shown, first, len(chosen), rows.paragraph)


def lines(table: Table, *, width: int) -> Iterator[str]:
    """The table as text, header first; no line is longer than *width*. Or a paragraph for each row."""
    if table.paragraph is not None:
        for shown in table.rows:
            yield from map(printable, table.paragraph(shown))
        return
    heads = [_head(column) for column in table.columns]
    cells = [[_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
             for row in table.rows]  # fmt: skip
    is_number = [
        all(isinstance(row[n], (int, float)) or row[n] is None for row in table.rows)
        for n in range(len(heads))
    ]
    widths = [max(len(head), *(len(row[n]) for row in cells), 0) for n, head in enumerate(heads)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    for row in [heads, *cells]:
        aligned = (
            _cut(cell, size).rjust(size) if right else _cut(cell, size).ljust(size)
            for cell, size, right in zip(row, widths, is_number, strict=True)
        )
        yield GAP.join(aligned).rstrip()[:width]


def note(table: Table) -> str:
    """A note on the rows that are shown; "" if all are."""
    if len(table.rows) == table.total:
        return ""
    if not table.rows:
        return f"no rows on this page; {table.total:,} in total"
    shown = f"{table.first + 1:,} to {table.first + len(table.rows):,} of {table.total:,} rows"
    return f"{shown}; use --page, --limit or --filter for others"


def duration(milliseconds: float) -> str:
    """A duration as text, with about three digits and a unit."""
    size = abs(milliseconds)
    if size < 1e-3:
        return "0" if not size else f"{milliseconds * 1e6:.0f} ns"
    if size < 1:
        return f"{milliseconds * 1e3:.0f} µs"
    if size < 1e3:
        return f"{milliseconds:.3g} ms" if size < 100 else f"{milliseconds:.0f} ms"
    if size < 60e3:
        return f"{milliseconds / 1e3:.3g} s"
    minutes, seconds = divmod(int(milliseconds / 1e3), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size(number_bytes: float) -> str:
    """A number of bytes as text, with a unit."""
    for unit in ("B", "KiB", "MiB"):
        if abs(number_bytes) < 1024:
            return f"{number_bytes:.0f} B" if unit == "B" else f"{number_bytes:.1f} {unit}"
        number_bytes /= 1024
    return f"{number_bytes:.1f} GiB"


def counted(number: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


_IN_MS = {"_ms": 1.0, "_s": 1e3, "_ns": 1e-6}


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        for suffix, in_ms in _IN_MS.items():
            if column.endswith(suffix) and not column.endswith("_per_s"):
                return duration(value * in_ms)
        if column.endswith("_bytes"):
            return size(value)
        if column.endswith("_ratio"):
            return f"{value:.1%}"
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return printable(str(value))


def _head(column: str) -> str:
    if column.endswith("_per_s"):
        return column.removesuffix("_per_s") + "/s"
    for suffix in (*_IN_MS, "_bytes", "_ratio"):
        column = column.removesuffix(suffix)
    return column.replace("_", " ")


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def _filtered(rows: Rows, text: str) -> list[Row]:
    column, _, part = text.partition("=")
    if part and column in rows.columns:
        index = rows.columns.index(column)
        return [row for row in rows.rows if part.lower() in str(row[index]).lower()]
    return [row for row in rows.rows if any(text.lower() in str(cell).lower() for cell in row)]


def _index(columns: tuple[str, ...], name: str) -> int:
    for index, column in enumerate(columns):
        # As in JSON, or as in the table's header.
        if name in (column, _head(column).replace(" ", "_")):
            return index
    raise OptionError(f"--sort: no column {name!r}; expected one of {', '.join(columns)}")


def _rank(value: object) -> tuple[int, object]:
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))
