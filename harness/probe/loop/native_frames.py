"""Stacks with compiled code in them: Python makes no frames for it, so a stack would end at its caller.

That is a callback in C, as ``call_soon(time.sleep, 1)``; a compiled coroutine (Cython, mypyc); a compiled
function of an installed package; and code that held the GIL and has just returned. Frames of compiled code
have the line 0.
"""

from __future__ import annotations

import sys
from asyncio import Handle, Task
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from ...record.observation import Frame
from ...record.value import Row
from ..hooks.state import frame_state, loop_state, reference_state, task_state
from ..tasks import coroutine, identity
from ..threads.stack import stack_of

INSTALLED = ("/site-packages/", "/dist-packages/")
# The methods of a loop that run it.
RUNS_LOOP = ("run_forever", "run_until_complete")
# Calls at most this many places are looked up: each takes a fraction of a millisecond.
PLACES = 50


class StackSeen(Row):
    """The stack of a loop's thread."""

    stack: tuple[Frame, ...]  # outermost first
    entering: bool  # as in `Sample`
    task: Task[Any] | None  # of the step, if asyncio does not count it as the current task
    scheduled: tuple[
        Frame, ...
    ]  # where the callback was, if asyncio's debug mode recorded it; innermost last


class _Step(Row):
    """The callback that asyncio calls, or the step of a task."""

    frame: Frame  # of its function: the first line of one in Python, no file for a compiled one
    task: Task[Any] | None
    code: CodeType | None  # in Python
    scheduled: tuple[Frame, ...] = ()


class CompiledCalls:
    """The compiled functions called at the places of one stall, each looked up once."""

    def __init__(self) -> None:
        self._calls: dict[tuple[CodeType, int], Frame | None] = {}
        self._latest: tuple[list[tuple[CodeType, int]], StackSeen] | None = None

    def seen(self, frame: FrameType) -> StackSeen:
        """The stack that ends in *frame*."""
        places = _places(frame)
        if self._latest is not None and self._latest[0] == places:
            return self._latest[1]
        self._latest = None
        stack = stack_of(frame)
        outer, depth = _outermost(frame)
        step = _step_in(outer.f_back) if outer is not None else _step_in(frame)
        if outer is None and step is not None:  # it has no frame, or has returned
            return StackSeen((*stack, step.frame), False, step.task, step.scheduled)
        entering = frame_state.is_entering(frame)
        if step is not None and outer is not None and step.task is not None and step.code is not outer.f_code:
            # A task in C calls `call_soon`, in Python, when its coroutine has returned. So does compiled
            # code, anywhere.
            return StackSeen((*stack[:-depth], step.frame, *stack[-depth:]), entering, None, ())
        if not entering:
            stack += self._call_at(frame)
        elif frame.f_back is not None:
            # What its caller calls may be compiled, and have called it in turn.
            stack = (*stack[:-1], *self._call_at(frame.f_back), stack[-1])
        seen = StackSeen(stack, entering, None, ())
        # Another step without frames of its own would be at the same places.
        self._latest = (places, seen) if outer is not None else None
        return seen

    def _call_at(self, frame: FrameType) -> tuple[Frame, ...]:
        place = frame.f_code, frame.f_lasti
        if place not in self._calls and len(self._calls) < PLACES:
            self._calls[place] = _installed_call(frame)
        found = self._calls.get(place)
        return (found,) if found is not None else ()


def _places(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    """The instruction of each frame; where they are equal, so are the stacks."""
    places = []
    while frame is not None:
        places.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return places


def _outermost(frame: FrameType) -> tuple[FrameType | None, int]:
    """The frame of the callback that runs, and how many frames there are from it on; `None` without one."""
    run, depth, outer = loop_state.run_code(), 0, None
    while frame.f_code is not run:
        outer, depth = frame, depth + 1
        if frame.f_back is None:
            return None, 0
        frame = frame.f_back
    return outer, depth


def _step_in(frame: FrameType | None) -> _Step | None:
    """The step that *frame* calls, if that is asyncio's call of it and it has begun; else `None`."""
    if frame is None or frame.f_code is not loop_state.run_code() or frame_state.is_entering(frame):
        return None
    handle = frame.f_locals.get("self")
    if not isinstance(handle, Handle):
        return None
    owner = reference_state.attribute(loop_state.callback(handle), "__self__")
    if issubclass(type(owner), Task):
        of, links = coroutine.of_task(owner), coroutine.links(task_state.work_of(owner))
        return _Step(Frame(of.file, of.line, of.name), owner, coroutine.code_of(links[0]) if links else None)
    function = identity.function_of(handle)
    code = reference_state.attribute(function, "__code__")
    name, scheduled = identity.full_name_of(function), coroutine.frames_of(task_state.creation_stack(handle))
    if not isinstance(code, CodeType):
        return _Step(Frame("", 0, name), None, None, scheduled)
    return _Step(Frame(code.co_filename, code.co_firstlineno, name), None, code, scheduled)


def _installed_call(frame: FrameType) -> Frame | None:
    """The compiled function of an installed package that *frame* calls; `None` for any other."""
    called = frame_state.called_by(frame)
    if isinstance(called, type):
        called = _constructor(called)
    if called is None or isinstance(called, FunctionType | MethodType | ModuleType):
        return None  # one in Python has a frame of its own
    if getattr(called, "__name__", "") in RUNS_LOOP:
        return None  # a compiled loop waits in there, or runs something that has no frame
    module = sys.modules.get(identity.module_of(called))
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not any(folder in file for folder in INSTALLED):
        return None
    return Frame(file, 0, identity.name_of(called))


def _constructor(kind: type) -> Any:
    """What runs when *kind* is called."""
    for name in ("__init__", "__new__"):
        for base in type.__getattribute__(kind, "__mro__"):
            if base is not object and name in (own := type.__getattribute__(base, "__dict__")):
                return getattr(own[name], "__func__", own[name])
    return None
