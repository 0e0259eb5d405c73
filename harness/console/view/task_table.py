"""The tasks of this process as the console knows them: by a small number or by name, in tables."""

from __future__ import annotations

import heapq
from asyncio import Task
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from ...probe.tasks.census import LOOKED_AT, Ref, registered
from ..gil_yield import AT_ONCE, GilYielder, yielding
from ..protocol.errors import CommandError
from .object_ids import ObjectIds

Row = tuple[object, ...]

# So many names are told when one is not unique.
NAMED = 5
# What is sorted in one call, which keeps the GIL.
SORTED_AT_ONCE = 1_000

_numbering: ObjectIds[Task[Any]] = ObjectIds()


def number(task: Task[Any]) -> int:
    """What the console calls *task*; a new number if it was never shown."""
    return _numbering.number(task)


def find(text: str) -> Task[Any]:
    """The task of that number or name.

    Raises:
        CommandError: There is none, or there are several of that name.
    """
    if text.isdecimal() and _numbering.was_given(int(text)):
        task = _numbering.thing(int(text))
        if task is None:
            raise CommandError(f"task {text} has ended, and nobody holds it any more")
        return task
    found: list[Ref] = []

    def look(task: Task[Any], register: Ref) -> None:
        if task.get_name() == text:
            found.append(register)

    walk(look)
    named = [task for register in found[:NAMED] if (task := register()) is not None]
    if not named:
        raise CommandError(f"no pending task has the number or name {text!r}; ps lists them")
    if len(found) > 1:
        several = ", ".join(str(number(task)) for task in named)
        raise CommandError(f"{len(found)} tasks are called {text!r}; say which by its number: {several} ...")
    return named[0]


def numbers() -> Iterable[str]:
    """The numbers that stand for a task now, for completion."""
    return map(str, _numbering)


def walk(look: Callable[[Task[Any], Ref], None]) -> None:
    """Have *look* called with every pending task, and a reference to keep; gives the GIL away now and then.

    It is a function and no iterator, so that no task is held during a pause: who drops the last reference to
    one runs its finalizer, and that belongs into the loop's thread. The references are asyncio's own: to make
    ten thousand new objects would have the collector go through the whole heap, which holds everybody up.

    Raises:
        CommandError: There are too many of them.
    """
    refs = registered()
    if refs is None:
        raise CommandError(f"there are more than {LOOKED_AT:,} tasks: to look at each would take too long")
    courtesy = GilYielder()
    for start in range(0, len(refs), AT_ONCE):
        for register in refs[start : start + AT_ONCE]:
            _look_at(register, look)
        courtesy.give_way()


def ordered(keys: Sequence[str | float]) -> list[int]:
    """The indexes of *keys*, the smallest key's first. A long list is sorted in parts, and merged."""
    parts = []
    for start in yielding(range(0, len(keys), SORTED_AT_ONCE)):
        part = range(start, min(start + SORTED_AT_ONCE, len(keys)))
        parts.append(sorted(part, key=keys.__getitem__))
    return list(yielding(heapq.merge(*parts, key=keys.__getitem__)))


class TaskRows(Sequence[Row]):
    """Rows about tasks, each put into words only when it is looked at; of ten thousand, twenty are."""

    def __init__(
        self, refs: Sequence[Ref], row: Callable[[Task[Any], int], Row], columns: tuple[str, ...]
    ) -> None:
        """*row* makes the row of a task, which stands at that index; the cells are those of *columns*."""
        self._refs = refs
        self._row = row
        self._gone: Row = tuple("ended" if column == "state" else None for column in columns)
        self._courtesy = GilYielder()

    def __len__(self) -> int:
        return len(self._refs)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        self._courtesy.give_way()
        task = self._refs[index]()
        return self._row(task, index) if task is not None else self._gone


def _look_at(register: Ref, look: Callable[[Task[Any], Ref], None]) -> None:
    task = register()
    if task is not None and not task.done():
        look(task, register)
