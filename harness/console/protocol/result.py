"""The result of a command: lines and rows for users, and the same as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rows:
    """A table. The session filters, sorts, limits and pages it, so that commands need not."""

    columns: tuple[str, ...]  # units in the name, as in JSON: "busy_ms", "trace_id"
    rows: Sequence[tuple[object, ...]] = field(repr=False)  # plain JSON values, most interesting first
    # How a row reads for users, where its sentences do not fit into a line of a table.
    paragraph: Callable[[tuple[object, ...]], Iterable[str]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The complete result of a command.

    As JSON it is *data*, with the table as ``rows`` (one object per row) and ``total``, their number before
    the limit. For people it is *lines*, then the table, then *hint*.
    """

    lines: tuple[str, ...] = ()
    rows: Rows | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    hint: str = ""  # a useful next command, with its reason: "where 7: what task 7 waits for"
    failed: bool = False  # the command did not succeed; *lines* say why
