"""Captures what one piece of code prints, while all other code prints to stdout as before."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ...probe.hooks.hook import Hook
from ...probe.hooks.replacement import Replacement

# More output than this is of no use at a console.
CHARS = 100_000

_here: ContextVar[Captured | None] = ContextVar("harness_captured", default=None)
_lock = threading.Lock()
_users = 0
_stdout: Hook | None = None


class Captured:
    """The beginning of the text that was printed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = CHARS

    @property
    def text(self) -> str:
        return "".join(self._parts) + ("…\n" if self._room <= 0 else "")

    def write(self, text: str) -> None:
        if self._room > 0:
            self._parts.append(text[: self._room])
        self._room -= len(text)


class _Stdout:
    """Replaces `sys.stdout`; passes on the output of every context that is not captured."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def write(self, text: str) -> int:
        if (captured := _here.get()) is None:
            return self.own.write(text)  # type: ignore[no-any-return]
        captured.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


def capture_here() -> Captured:
    """Capture what the current context prints from now on, and tasks that are made in it."""
    captured = Captured()
    _here.set(captured)
    return captured


@contextmanager
def replaced_stdout() -> Iterator[None]:
    """Make captures effective, for the duration of the ``with`` block."""
    global _stdout, _users
    with _lock:
        _users += 1
        if _users == 1 and sys.stdout is not None:
            _stdout = Hook("captured stdout")
            Replacement(_stdout, sys, "stdout", _Stdout(sys.stdout))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _stdout is not None:
                _stdout.undo()  # a later replacement by the program stays
                _stdout = None
