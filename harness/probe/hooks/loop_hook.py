"""Reports when a loop begins to run in a thread and when it stops, in that thread.

Every loop announces this to asyncio by `asyncio._set_running_loop`. That function is replaced while there are
subscribers. Loop classes are left alone, except uvloop's if it was imported earlier: it has kept the original
function.
"""

from __future__ import annotations

import functools
import sys
import threading
from itertools import islice
from types import BuiltinMethodType, MethodType, ModuleType

from .hook import Hook
from .replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process that runs no loop has not imported these.
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

# The most attributes of an object that are looked at.
ATTRIBUTES = 64

_listeners: list[Callable[[AbstractEventLoop | None], None]] = []
_hooks: list[Hook] = []  # while there are listeners
_lock = threading.Lock()


def subscribe(listener: Callable[[AbstractEventLoop | None], None]) -> None:
    """Call *listener* with each loop that begins to run from now on, and with `None` when it stops.

    It is called in the loop's thread, sometimes twice with the same loop. An error in it undoes the hook.
    """
    with _lock:
        if not _hooks:
            _hooks.append(hook := Hook("loops"))
            _replace_asyncios(hook)
            _replace_uvloops(hook)
        _listeners.append(listener)


def unsubscribe(listener: Callable[[AbstractEventLoop | None], None]) -> None:
    """Stop calling *listener*; after the last one, undo the replacement."""
    with _lock:
        if listener in _listeners:
            _listeners.remove(listener)
        while _hooks and not _listeners:
            _hooks.pop().undo()


def loops_in_other_threads() -> Iterator[AbstractEventLoop]:
    """The loops that run in other threads now.

    asyncio's own are found exactly. A loop without a frame in Python, such as uvloop's, is found among what
    the frames of its thread refer to: whoever runs it has a name for it. The collector would know all of
    them, but asking it holds the GIL for as long as it takes to list every object of the program.
    """
    # Not at the top: this module is imported while asyncio is being imported.
    from asyncio import BaseEventLoop

    from ..threads import other_threads

    found = list(other_threads.running(BaseEventLoop.run_forever.__code__))
    for innermost in other_threads.frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            found += _named_in(frame)
            frame = frame.f_back
    here = sys.modules["asyncio.events"]._get_running_loop()
    return iter([loop for loop in {id(loop): loop for loop in found}.values() if loop is not here])


def _named_in(frame: FrameType) -> Iterator[AbstractEventLoop]:
    """The running loops among a frame's variables, their attributes, and the globals that its code uses."""
    values = list(frame.f_locals.values())
    values += [frame.f_globals[name] for name in frame.f_code.co_names if name in frame.f_globals]
    for value in values:
        yield from _running(value)
        # `Runner`, `Thread(target=loop.run_forever)`, and a program's own class: its `self` has the loop.
        for part in _attributes(value):
            yield from _running(part)


def _running(value: Any) -> Iterator[AbstractEventLoop]:
    """*value*, or the object whose method it is, if that is a running loop."""
    # Never `isinstance`, which asks an object for its class: a mock or a proxy would run its own code.
    if type(value) in (MethodType, BuiltinMethodType):
        value = value.__self__
    if issubclass(type(value), sys.modules["asyncio"].AbstractEventLoop):
        try:
            if value.is_running():
                yield value
        except Exception:  # a loop of the program's own that cannot tell
            return


def _attributes(value: object) -> list[object]:
    """Some of an object's own attributes, read without running its code."""
    if type(value) is ModuleType:
        return []
    try:
        return list(islice(object.__getattribute__(value, "__dict__").values(), ATTRIBUTES))
    except Exception:  # it has none, or its thread is just changing them
        return []


def _replace_asyncios(hook: Hook) -> None:
    events = sys.modules["asyncio.events"]
    own, notify = events._set_running_loop, hook.guarded(_notify)

    def _set_running_loop(loop: AbstractEventLoop | None) -> None:
        own(loop)
        notify(loop)

    modules = [module for module in (events, sys.modules.get("asyncio")) if module is not None]
    for module in modules:
        if getattr(module, "_set_running_loop", None) is own:
            Replacement(hook, module, "_set_running_loop", _set_running_loop)


def _replace_uvloops(hook: Hook) -> None:
    # While uvloop is being imported, it imports asyncio before its own parts, which then find the replaced
    # function.
    if (owner := getattr(sys.modules.get("uvloop"), "Loop", None)) is None:
        return
    own, notify = owner.run_forever, hook.guarded(_notify)
    running = sys.modules["asyncio.events"]._get_running_loop

    @functools.wraps(own)
    def run_forever(loop: AbstractEventLoop) -> None:
        notify(loop)
        try:
            own(loop)
        finally:
            notify(running())

    Replacement(hook, owner, "run_forever", run_forever)


def _notify(loop: AbstractEventLoop | None) -> None:
    for listener in tuple(_listeners):
        listener(loop)
