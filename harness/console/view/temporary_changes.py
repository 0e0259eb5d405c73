"""The changes that commands make for a limited time; they are undone earlier on request or at close."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ..protocol.errors import CommandError


@dataclass(frozen=True, slots=True)
class TemporaryChange:
    """One change that is in force."""

    name: str  # the command's, and its subject where there can be several: "log aiohttp.access"
    what: str  # for people: "DEBUG instead of INFO"
    ends_ns: int
    undo: Callable[[], object] = field(repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def left_s(self) -> float:
        """Seconds until it is undone."""
        return max(0, self.ends_ns - monotonic_ns()) / 1e9


class TemporaryChanges:
    """The changes in force, of all clients of a console; at most one with each name."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        """*on_error* is called when a change cannot be undone."""
        self._on_error = on_error
        self._lock = threading.Lock()
        self._in_force: dict[str, TemporaryChange] = {}
        self._closed = False

    def begin(self, name: str, what: str, *, for_s: float, undo: Callable[[], object]) -> None:
        """Call *undo* after *for_s*, from another thread; it must not wait for a loop.

        To be called before the change is made; see `changing`.

        Raises:
            CommandError: A change with this name is in force, or the console is closing.
        """
        change = TemporaryChange(name, what, monotonic_ns() + int(for_s * 1e9), undo)
        with self._lock:
            if self._closed:
                raise CommandError("the console is closing")
            if (other := self._in_force.get(name)) is not None:
                raise CommandError(
                    f"{name} is in force already, for another {other.left_s:.0f} s: {other.what}"
                )
            self._in_force[name] = change
        # One thread per change: it only sleeps, and there is at most one change per name.
        Background(lambda: self._end_in_time(change, for_s))

    @contextmanager
    def changing(self, name: str, what: str, *, for_s: float, undo: Callable[[], object]) -> Iterator[None]:
        """Begin, make the change in the ``with`` block, and undo it at once if the block raises.

        Raises:
            CommandError: As for `begin`, before the block runs.
        """
        self.begin(name, what, for_s=for_s, undo=undo)
        try:
            yield
        except BaseException:
            self.end(name)
            raise

    def get(self, name: str) -> TemporaryChange | None:
        """The change with that name, if it is in force."""
        return self._in_force.get(name)

    def end(self, name: str) -> bool:
        """Undo a change now; false if none with that name is in force."""
        with self._lock:
            change = self._in_force.pop(name, None)
        if change is None:
            return False
        change.ended.set()
        try:
            change.undo()
        except Exception as exc:
            self._on_error(f"console: undoing {name}", exc)
        return True

    def in_force(self) -> tuple[TemporaryChange, ...]:
        """All changes, in the order of their ends."""
        with self._lock:
            return tuple(sorted(self._in_force.values(), key=lambda change: change.ends_ns))

    def close(self) -> None:
        """Undo everything, and allow no more changes."""
        with self._lock:
            self._closed = True
        for change in self.in_force():
            self.end(change.name)

    def _end_in_time(self, change: TemporaryChange, for_s: float) -> None:
        if not change.ended.wait(for_s):
            # Not by name alone: another change of the same name may have begun since.
            with self._lock:
                mine = self._in_force.get(change.name) is change
            if mine:
                self.end(change.name)
