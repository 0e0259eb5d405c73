"""Reports when a loop begins to run in a thread and when it stops, in that thread.

Every loop announces this to asyncio by `asyncio._set_running_loop`. That function is replaced while there are
subscribers. Loop classes are left alone, except uvloop's if it was imported earlier: it has kept the original
function.
"""

from __future__ import annotations

import functools
import sys
import threading

from .hook import Hook
from .replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process that runs no loop has not imported these.
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

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
        _listeners.remove(listener)
        while _hooks and not _listeners:
            _hooks.pop().undo()


def loops_in_other_threads() -> Iterator[AbstractEventLoop]:
    """The loops that run in other threads now, except uvloop's, which have no frame in Python."""
    # Not at the top: this module is imported while asyncio is being imported.
    from asyncio import BaseEventLoop

    from ..threads import other_threads

    return other_threads.running(BaseEventLoop.run_forever.__code__)


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
