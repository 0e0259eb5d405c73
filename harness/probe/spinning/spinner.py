"""Describes what spins: its coroutine and where it waits, or its callback and the tasks that it is about."""

from __future__ import annotations

from asyncio import Handle, Task
from types import CodeType
from typing import Any

from ...record.observation import Coroutine, Frame
from ...record.value import Row
from ..hooks.state import loop_state, reference_state
from ..tasks import coroutine, identity

# How many tasks a callback's object may name, how far away they may be, and how many objects are looked at.
TASKS, AWAY, OBJECTS = 3, 3, 200


class Spinner(Row):
    """As the fields of `LoopSpun`."""

    name: str
    is_timer: bool
    coroutine: Coroutine | None = None
    callback: Frame | None = None
    about: tuple[Coroutine, ...] = ()
    file: str = ""

    def of_file(self, why: str) -> Spinner:
        """The same callback, as one of a file that is always ready."""
        return Spinner(self.name, self.is_timer, self.coroutine, self.callback, self.about, why)


def of_task(task: Task[Any], *, is_timer: bool) -> Spinner:
    """The task, suspended at some line of each of its coroutines."""
    of = coroutine.of_task(task)
    return Spinner(of.name, is_timer, of)


def of_callback(handle: Handle, *, is_timer: bool = False) -> Spinner:
    """What *handle* calls, and the tasks to which that refers."""
    function = identity.function_of(handle)
    code = reference_state.attribute(function, "__code__")
    place = (
        Frame(code.co_filename, code.co_firstlineno, code.co_qualname) if isinstance(code, CodeType) else None
    )
    owner = reference_state.attribute(function, "__self__")
    parts = [owner, *loop_state.arguments(handle)]
    return Spinner(identity.callback_name(handle), is_timer, callback=place, about=tuple(_tasks_near(parts)))


def _tasks_near(parts: list[Any]) -> list[Coroutine]:
    found: list[Coroutine] = []
    seen, level = set(map(id, parts)), [part for part in parts if part is not None]
    for _ in range(AWAY):
        near: list[Any] = []
        for thing in level:
            if issubclass(type(thing), Task):
                if not thing.done() and len(found) < TASKS:
                    found.append(coroutine.of_task(thing))
                continue
            if issubclass(type(thing), type | CodeType) or callable(thing) or len(near) >= OBJECTS:
                continue
            new = [held for held in reference_state.held_by(thing, OBJECTS) if id(held) not in seen]
            seen.update(map(id, new))
            near += new
        level = near
    return found
