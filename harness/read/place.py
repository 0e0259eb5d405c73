"""Names lines of code in sentences and findings."""

from __future__ import annotations

from typing import Protocol

from ..record.event import Frame
from ..stacks.ownership import CodeOwnership


class Located(Protocol):
    """What has a file and a line: a frame, a coroutine, a block. "" and 0 if they are not known."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


def line_of(at: Located, ownership: CodeOwnership) -> str:
    """``FILE:LINE``, with the file's short name."""
    return f"{ownership.short(at.file)}:{at.line}" if at.file else "an unknown line"


def function_at(frame: Frame, ownership: CodeOwnership) -> str:
    """``FUNCTION (FILE:LINE)``"""
    return f"{frame.function} ({line_of(frame, ownership)})"


def blamed(at: Located | None) -> tuple[str | None, int | None]:
    """The file and line of a finding about that place; `None` where they are not known."""
    return (at.file or None, at.line or None) if at is not None else (None, None)
