"""What a command answers: lines and rows for people, and the same as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rows:
    """A table. The session filters, sorts, caps and pages it, so that no command has to."""

    columns: tuple[str, ...]  # units in the name, as in JSON: "busy_ms", "trace_id"
    rows: Sequence[tuple[object, ...]] = field(repr=False)  # plain JSON values, in the order worth reading


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The whole answer of one command.

    As JSON it is *data*, with the table as ``rows`` (one object per row) and ``total``, their number before
    the cap. For people it is *lines*, then the table, then *hint*.
    """

    lines: tuple[str, ...] = ()
    rows: Rows | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    hint: str = ""  # the command that is useful next, with why: "where 7: what task 7 waits for"
    failed: bool = False  # what was asked could not be done; *lines* say why
