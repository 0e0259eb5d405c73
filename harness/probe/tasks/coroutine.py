"""Describes a coroutine for the record: its definition, where it waits, and where it was created."""

from __future__ import annotations

import gc
from asyncio import Task
from collections.abc import Iterable
from traceback import FrameSummary
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from ...record.observation import Coroutine, Frame
from ...record.value import Row
from ..hooks.state import reference_state, task_state
from ..threads.stack import frame_at, of_frame

# Longer chains of coroutines that await each other lose their inner end.
DEPTH = 50

# Equal for tasks that run the same coroutine and wait at the same line: the ids of its code and of the
# innermost coroutine's code, and the instruction there. Ids, because hashing a code takes longer than
# everything else.
Place = tuple[int, int, int]


class Halt(Row):
    """Where a task waited once, for `of_halt`. It keeps neither the task nor a frame alive."""

    name: str
    code: CodeType | None
    made: list[FrameSummary] | None  # as asyncio's debug mode keeps it
    origin: tuple[tuple[str, int, str], ...]  # as the coroutine does
    places: tuple[tuple[CodeType, int], ...]  # the code and the instruction of each coroutine


# What a coroutine's `__await__`, and an asynchronous generator's `asend` and `athrow` return.
_WRAPPERS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow")


class _Names(Row):
    code: str
    frame: str
    awaited: str


_NAMES: dict[type, _Names] = {
    CoroutineType: _Names("cr_code", "cr_frame", "cr_await"),
    GeneratorType: _Names("gi_code", "gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: _Names("ag_code", "ag_frame", "ag_await"),
}


def of_task(task: Task[Any]) -> Coroutine:
    """The coroutine of *task*."""
    # asyncio's debug mode keeps the stack on which the task was created.
    return of_work(task_state.work_of(task), frames_of(task_state.creation_stack(task)))


def halt_of(task: Task[Any]) -> Halt:
    """Where *task* waits now. Cheap, for the thread of a loop; on any other, `of_halt` says the rest."""
    work: Any = task_state.work_of(task)
    frames = [frame_of(link) for link in links(work)]
    return Halt(
        name=reference_state.attribute(work, "__qualname__") or type(work).__qualname__,
        code=code_of(work) if type(work) in _NAMES else None,
        made=task_state.creation_stack(task),
        origin=getattr(work, "cr_origin", None) or (),
        places=tuple((frame.f_code, frame.f_lasti) for frame in frames if frame is not None),
    )


def of_halt(halt: Halt) -> Coroutine:
    """The coroutine of the task, where it waited then."""
    return Coroutine(
        name=halt.name,
        file=halt.code.co_filename if halt.code is not None else "",
        line=halt.code.co_firstlineno if halt.code is not None else 0,
        stack=tuple(frame_at(*place) for place in halt.places),
        created=frames_of(halt.made) or tuple(Frame(*made) for made in reversed(halt.origin)),
    )


def frames_of(made: Iterable[FrameSummary] | None) -> tuple[Frame, ...]:
    """A stack that asyncio's debug mode kept, innermost last; empty without one."""
    return tuple(Frame(frame.filename, frame.lineno or 0, frame.name) for frame in made or ())


def of_work(work: object, created: tuple[Frame, ...] = ()) -> Coroutine:
    """The coroutine *work*, which is suspended, has not begun, or has ended."""
    name = getattr(work, "__qualname__", None) or type(work).__qualname__
    if (names := _NAMES.get(type(work))) is None:
        return Coroutine(name, "", 0, created=created)
    code = getattr(work, names.code)
    origin = getattr(work, "cr_origin", None) or ()
    return Coroutine(
        name=name,
        file=code.co_filename,
        line=code.co_firstlineno,
        stack=tuple(of_frame(frame) for link in links(work) if (frame := frame_of(link)) is not None),
        created=created or tuple(Frame(*made) for made in reversed(origin)),
    )


def place_of(work: Any) -> Place:
    """Where the task that runs *work* waits. Cheap, because a census calls it for every task."""
    inner = work
    if type(work) is CoroutineType:
        awaited = None if inner.cr_running else inner.cr_await  # as in `links`
        while type(awaited) is CoroutineType:
            inner = awaited
            awaited = None if inner.cr_running else inner.cr_await
        if type(awaited) not in _NAMES and type(awaited).__name__ not in _WRAPPERS:
            frame = inner.cr_frame
            return id(work.cr_code), id(inner.cr_code), frame.f_lasti if frame is not None else 0
    # There is a generator in between, or an awaitable that is not written in Python.
    chain = links(work)
    if not chain:
        return id(type(work)), 0, 0
    frame = frame_of(chain[-1])
    return id(code_of(chain[0])), id(code_of(chain[-1])), frame.f_lasti if frame is not None else 0


def kept_by(work: object) -> tuple[object, ...]:
    """The objects that must stay alive so that the ids in the `Place` of *work* are not used again."""
    return tuple(code_of(link) for link in links(work)) or (type(work),)


def links(work: object) -> list[Any]:
    """*work*, what it awaits, and so on, up to the first awaitable that is not written in Python."""
    chain: list[Any] = []
    link: Any = work
    while link is not None and len(chain) < DEPTH:
        if type(link) is CoroutineType:  # nearly always
            chain.append(link)
            # Of one that runs, Python 3.11 and 3.12 may read what it awaits from where nothing is, and crash.
            # No other thread can run between these two looks.
            link = None if link.cr_running else link.cr_await
        elif type(link) is GeneratorType:
            chain.append(link)
            link = None if link.gi_running else link.gi_yieldfrom
        elif type(link) is AsyncGeneratorType:
            chain.append(link)
            link = link.ag_await  # its `ag_running` is true also while it waits
        else:
            link = _behind(link)
    return chain


def _behind(awaitable: object) -> object:
    """The coroutine or generator inside a wrapper, `None` for anything else."""
    if type(awaitable).__name__ not in _WRAPPERS:
        return None
    # A wrapper does not expose it, but the collector can reach it.
    return next((held for held in gc.get_referents(awaitable) if type(held) in _NAMES), None)


def code_of(link: Any) -> CodeType:
    return getattr(link, _NAMES[type(link)].code)  # type: ignore[no-any-return]


def frame_of(link: Any) -> FrameType | None:
    return getattr(link, _NAMES[type(link)].frame)  # type: ignore[no-any-return]
