"""Finds the tasks of this process by number or name, and makes tables of them."""

from __future__ import annotations

import heapq
from asyncio import Task
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks.register import LOOKED_AT, registered
from ..gil_yield import BATCH, GilYielder, yielding
from ..protocol.errors import CommandError
from .object_ids import ObjectIds

Row = tuple[object, ...]

# The numbers that are listed when a name is not unique.
NAMED = 5
# Items sorted in one call, which keeps the GIL.
SORTED_AT_ONCE = 1_000

_ids: ObjectIds[Task[Any]] = ObjectIds()


def number(task: Task[Any]) -> int:
    """The console's number of *task*, assigned now if it has none."""
    return _ids.number(task)


def label(task: Task[Any]) -> str:
    """``7 (fetch-3)``: the number and the name of *task*."""
    return f"{number(task)} ({task.get_name()})"


def labels(refs: Iterable[TaskRef]) -> str | None:
    """The labels of those tasks that still exist; `None` if none does."""
    return ", ".join(label(task) for weak in refs if (task := weak()) is not None) or None


def name_key(task: Task[Any]) -> str:
    """A key that sorts tasks by name in natural order: Task-9 before Task-10."""
    name = task.get_name()
    return f"{len(name):09}{name}"


def find(text: str) -> Task[Any]:
    """The task with that number or name.

    Raises:
        CommandError: There is none, or several have that name.
    """
    if text.isdecimal() and _ids.was_assigned(int(text)):
        if (task := _ids.get(int(text))) is None:
            raise CommandError(f"task {text} has ended and was deleted")
        return task
    found: list[TaskRef] = []

    def visit(task: Task[Any], weak: TaskRef) -> None:
        if task.get_name() == text:
            found.append(weak)

    walk(visit)
    named = [task for weak in found[:NAMED] if (task := weak()) is not None]
    if not named:
        raise CommandError(f"no pending task has the number or name {text!r}; ps lists them")
    if len(found) > 1:
        several = ", ".join(str(number(task)) for task in named)
        raise CommandError(f"{len(found)} tasks are called {text!r}; choose one by its number: {several} ...")
    return named[0]


def numbers() -> list[str]:
    """The numbers of tasks that exist, for completion."""
    return [str(each) for each in _ids]


def numbers_of(refs: Iterable[TaskRef]) -> list[int]:
    """The numbers of those tasks that still exist."""
    return [number(task) for weak in refs if (task := weak()) is not None]


def walk(visit: Callable[[Task[Any], TaskRef], None]) -> None:
    """Call *visit* with every pending task and a weak reference to keep; yields the GIL in between.

    It is a function, not an iterator, so that no task is referred to during a pause: the last reference to a
    task would then run its finalizer here instead of in the loop's thread. The weak references are asyncio's
    own: ten thousand new objects would start a collection of the whole heap, which delays every thread.

    Raises:
        CommandError: There are too many tasks.
    """
    pending = refs()
    gil = GilYielder()
    for start in range(0, len(pending), BATCH):
        for weak in pending[start : start + BATCH]:
            _visit(weak, visit)
        gil.maybe_yield()


def refs() -> list[TaskRef]:
    """asyncio's references to all tasks.

    Raises:
        CommandError: There are too many tasks.
    """
    if (found := registered()) is None:
        raise CommandError(f"there are more than {LOOKED_AT:,} tasks: reading them all would take too long")
    return found


def ordered(keys: Sequence[str | float]) -> list[int]:
    """The indexes of *keys* by ascending key. A long list is sorted in parts, which are merged."""
    parts = []
    for start in yielding(range(0, len(keys), SORTED_AT_ONCE)):
        part = range(start, min(start + SORTED_AT_ONCE, len(keys)))
        parts.append(sorted(part, key=keys.__getitem__))
    return list(yielding(heapq.merge(*parts, key=keys.__getitem__)))


class TaskRows(Sequence[Row]):
    """Rows about tasks, each made when it is read: of ten thousand, a page shows twenty."""

    def __init__(
        self, refs: Sequence[TaskRef], row: Callable[[Task[Any], int], Row], columns: tuple[str, ...]
    ) -> None:
        """*row* makes the row of a task, given its index in *refs*; its cells are those of *columns*."""
        self._refs = refs
        self._row = row
        self._gone: Row = tuple("ended" if column == "state" else None for column in columns)
        self._gil = GilYielder()

    def __len__(self) -> int:
        return len(self._refs)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        self._gil.maybe_yield()
        task = self._refs[index]()
        return self._row(task, index) if task is not None else self._gone


def sorted_rows(
    key: Callable[[Task[Any]], str | float | None],
    row: Callable[[Task[Any], int], Row],
    columns: tuple[str, ...],
) -> TaskRows:
    """The rows of all pending tasks by ascending *key*, without those whose key is `None`."""
    refs: list[TaskRef] = []
    keys: list[str | float] = []

    def visit(task: Task[Any], weak: TaskRef) -> None:
        if (value := key(task)) is not None:
            refs.append(weak)
            keys.append(value)

    walk(visit)
    return TaskRows([refs[index] for index in ordered(keys)], row, columns)


def _visit(weak: TaskRef, visit: Callable[[Task[Any], TaskRef], None]) -> None:
    if (task := weak()) is not None and not task.done():
        visit(task, weak)
