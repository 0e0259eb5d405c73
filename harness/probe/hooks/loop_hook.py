"""Which loop runs in which thread: told in that thread, whenever one begins to run and when it stops.

Whatever runs a loop says so by `asyncio._set_running_loop`. That function is replaced while somebody
listens; no loop's own class is touched, but for uvloop's when it was imported before: it keeps the function
that it has found then.
"""

from __future__ import annotations

import functools
import sys
import threading

from .replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process that runs no loop has imported neither.
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator
    from types import FrameType

_listeners: list[Callable[[AbstractEventLoop | None], None]] = []
_replacements: list[Replacement] = []
_lock = threading.Lock()


def subscribe(listener: Callable[[AbstractEventLoop | None], None]) -> None:
    """Call *listener* with each loop that begins to run from now on, and with `None` when it stops.

    It is called in the thread that runs the loop, sometimes twice with the same, and must not raise.
    """
    with _lock:
        if not _listeners:
            _replace_asyncios()
            _replace_uvloops()
        _listeners.append(listener)


def unsubscribe(listener: Callable[[AbstractEventLoop | None], None]) -> None:
    """Call *listener* no more; with the last one, everything is put back."""
    with _lock:
        _listeners.remove(listener)
        while _replacements and not _listeners:
            _replacements.pop().undo()


def loops_in_other_threads() -> Iterator[AbstractEventLoop]:
    """The loops that run in other threads now. uvloop's are not found: they have no frame in Python."""
    # Not at the top: this module is loaded while asyncio still is.
    from asyncio import BaseEventLoop

    from ..threads import other_threads

    run_forever = BaseEventLoop.run_forever.__code__
    for innermost in other_threads.frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is run_forever:
                yield frame.f_locals["self"]
            frame = frame.f_back


def _replace_asyncios() -> None:
    events = sys.modules["asyncio.events"]
    own = events._set_running_loop

    def _set_running_loop(loop: AbstractEventLoop | None) -> None:
        own(loop)
        _tell(loop)

    modules = [module for module in (events, sys.modules.get("asyncio")) if module is not None]
    _replacements.extend(
        Replacement(module, "_set_running_loop", _set_running_loop)
        for module in modules
        if getattr(module, "_set_running_loop", None) is own
    )


def _replace_uvloops() -> None:
    uvloop = sys.modules.get("uvloop")
    if uvloop is None:
        return
    own = uvloop.Loop.run_forever
    running = sys.modules["asyncio.events"]._get_running_loop

    @functools.wraps(own)
    def run_forever(loop: AbstractEventLoop) -> None:
        _tell(loop)
        try:
            own(loop)
        finally:
            _tell(running())

    _replacements.append(Replacement(uvloop.Loop, "run_forever", run_forever))


def _tell(loop: AbstractEventLoop | None) -> None:
    for listener in tuple(_listeners):
        listener(loop)
