"""Observes the start of threads, in the thread that starts them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from . import runtime
from .hook import Hook, leave_out
from .replacement import Replacement

_NOTED = "_harness_noted"


def observe_starts(on_start: Callable[[threading.Thread], object]) -> Callable[[], None]:
    """Call *on_start* before each start of a thread; returns the undoing. An error in it undoes the hook."""
    hook = Hook("starts of threads")
    leave_out(hook.name, reason := runtime.why_no_thread_hook())
    if reason or not hook.is_on:
        return hook.undo
    own = threading.Thread.start
    observe = hook.guarded(on_start)

    @functools.wraps(own)
    def start(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
        observe(self)
        try:
            own(self, *args, **kwargs)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    Replacement(hook, threading.Thread, "start", start)
    return hook.undo


def note(thread: threading.Thread, what: object) -> None:
    """Keep *what* with a thread, for `noted`."""
    vars(thread)[_NOTED] = what


def noted(thread: threading.Thread | None) -> Any:
    """What was kept with a thread; `None` for nothing."""
    return vars(thread).get(_NOTED) if thread is not None else None


def work_of_thread(thread: threading.Thread) -> Any:
    """The function that a thread calls: its target, else its own `run`."""
    return getattr(thread, "_target", None) or thread.run
