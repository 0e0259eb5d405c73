"""Reads what a record holds by now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from harness.record.event import Event
from harness.record.reader import Follower

E = TypeVar("E", bound=Event)


def events_in(folder: Path) -> list[Event]:
    """All events of the files in a folder."""
    return [event for _, event in Follower(folder).new_events()]


def of_kind(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def recorded(folder: Path, kind: type[E]) -> list[E]:
    """The events of one kind in a folder."""
    return of_kind(events_in(folder), kind)
