"""What a command has changed for a limited time: it goes back by itself, or when the console ends."""

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

    name: str  # the command's, and what it is about where there can be several: "log aiohttp.access"
    what: str  # in words: "DEBUG instead of INFO"
    ends_ns: int
    undo: Callable[[], object] = field(repr=False)
    over: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def left_s(self) -> float:
        """For how long it will be in force."""
        return max(0, self.ends_ns - monotonic_ns()) / 1e9


class TemporaryChanges:
    """The changes in force, of all clients of one console. There is one of each name at most."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        """*on_error* is told of what cannot be undone."""
        self._on_error = on_error
        self._lock = threading.Lock()
        self._limits: dict[str, TemporaryChange] = {}
        self._closed = False

    def begin(self, name: str, what: str, *, for_s: float, undo: Callable[[], object]) -> None:
        """Have *undo* called after that time, from another thread; it must not wait for a loop.

        To be called first, before the change is made: see `changing`.

        Raises:
            CommandError: The same is in force already, or the console closes.
        """
        limit = TemporaryChange(name, what, monotonic_ns() + int(for_s * 1e9), undo)
        with self._lock:
            if self._closed:
                raise CommandError("the console closes")
            if name in self._limits:
                standing = self._limits[name]
                raise CommandError(
                    f"{name} is in force already, for another {standing.left_s:.0f} s: {standing.what}"
                )
            self._limits[name] = limit
        # A thread for each: they sleep in the kernel, and there are no more of them than kinds of changes.
        Background(lambda: self._end_in_time(limit, for_s))

    @contextmanager
    def changing(self, name: str, what: str, *, for_s: float, undo: Callable[[], object]) -> Iterator[None]:
        """Begin, and undo at once what fails while it is made, which the ``with`` statement is for.

        Raises:
            CommandError: As `begin`; the change is not to be made then.
        """
        self.begin(name, what, for_s=for_s, undo=undo)
        try:
            yield
        except BaseException:
            self.end(name)
            raise

    def end(self, name: str) -> bool:
        """Undo a change now; false when none of that name is in force."""
        with self._lock:
            limit = self._limits.pop(name, None)
        if limit is None:
            return False
        limit.over.set()
        try:
            limit.undo()
        except Exception as exc:
            self._on_error(f"console: undoing {name}", exc)
        return True

    def in_force(self) -> tuple[TemporaryChange, ...]:
        """What will go back by itself, the next one first."""
        with self._lock:
            return tuple(sorted(self._limits.values(), key=lambda limit: limit.ends_ns))

    def close(self) -> None:
        """The console ends: undo everything, and allow nothing more."""
        with self._lock:
            self._closed = True
        for limit in self.in_force():
            self.end(limit.name)

    def _end_in_time(self, limit: TemporaryChange, for_s: float) -> None:
        if not limit.over.wait(for_s):
            # Not by its name alone: another of the same name may have begun meanwhile.
            with self._lock:
                mine = self._limits.get(limit.name) is limit
            if mine:
                self.end(limit.name)
