"""Reads a record, even while it is being written or after one of its writers was killed.

The last line of a file counts only once it has its newline; damaged lines are skipped and counted. Nothing is
locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import RecordError
from .codec import decode
from .event import FORMAT, Event, WriterClosed, WriterOpened


@dataclass(slots=True)
class Source:
    """One writer's file, and what is known about the writer so far."""

    path: Path
    opened: WriterOpened | None = None
    closed: WriterClosed | None = None  # if it is the last event so far
    damaged: int = 0  # complete lines that are not an event
    damage: str = ""  # the first of these: its number, and what is wrong with it
    lost: int = 0  # lines that the writer counted, and that are not there any more
    unknown: int = 0  # events of a kind this version does not know
    lines: int = 0  # complete ones
    _read_bytes: int = field(default=0, repr=False)

    @property
    def read_bytes(self) -> int:
        """The length of the complete lines."""
        return self._read_bytes

    def new_events(self) -> Iterator[Event]:
        """The events of the lines that were completed since the previous call.

        Raises:
            RecordError: The file cannot be read, or has a newer format.
        """
        with self._open() as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes += len(line)
                self.lines += 1
                event = self._event_of(line)
                if event is not None:
                    yield event

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as exc:
            raise RecordError(f"{self.path}: cannot be read: {exc.strerror}") from exc

    def _event_of(self, line: bytes) -> Event | None:
        try:
            event = decode(line.decode())
        except ValueError as wrong:
            self.damaged += 1
            self.damage = self.damage or f"line {self.lines}: {wrong!s:.120}"
            return None
        self.closed = None
        match event:
            case None:
                self.unknown += 1
            case WriterOpened(format=number) if number > FORMAT:
                exc = RecordError(f"{self.path}: format {number}, but this version reads up to {FORMAT}")
                exc.add_note("Read it with the version of the harness that wrote it, or a newer one.")
                raise exc
            case WriterOpened():
                self.opened = event
            case WriterClosed():
                self.closed = event
                self.lost = max(self.lost, event.lines - (self.lines - 1))
        return event


class Follower:
    """Reads a growing record: each call of `new_events` yields what is new since the previous call."""

    def __init__(self, folder: Path, pattern: str = "*.jsonl") -> None:
        """Read the files in *folder* that match *pattern*, such as ``driver-*.jsonl``."""
        self._folder = folder
        self._pattern = pattern
        self._sources: dict[Path, Source] = {}

    @property
    def sources(self) -> list[Source]:
        """Every writer's file found so far, sorted by path."""
        return [self._sources[path] for path in sorted(self._sources)]

    def new_events(self) -> Iterator[tuple[Source, Event]]:
        """Each new event with its source, ordered within each source only."""
        for path in sorted(self._folder.glob(self._pattern)):
            source = self._sources.setdefault(path, Source(path))
            for event in source.new_events():
                yield source, event
