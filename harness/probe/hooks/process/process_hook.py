"""Calls the probe when the program ends, or calls a function of `os` that changes its process."""

from __future__ import annotations

import atexit
import os

from ..builtin_shim import BuiltinShim
from ..hook import Hook
from ..replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable, Sequence
    from typing import Any

    # Called with the name of the function and its arguments; may return other arguments.
    Before = Callable[[str, tuple[Any, ...]], tuple[Any, ...] | None]


def before_calls(part: str, names: Sequence[str], observe: Before) -> None:
    """Call *observe* before each call of these functions of `os`, where they exist."""
    hook = Hook(part)
    for name in names:
        own = getattr(os, name, None)
        if own is not None and hook.is_on:
            _replace(hook, name, own, hook.guarded(observe))


def at_exit(close: Callable[[], object]) -> Callable[[], None]:
    """Call *close* among Python's exit handlers; returns a function that takes this back."""
    hook = Hook("exit")
    closing = hook.guarded(close)
    atexit.register(closing)
    hook.when_undone(lambda: atexit.unregister(closing))
    return hook.undo


def call_at_exit(function: Callable[..., object], *args: object) -> Callable[[], None]:
    """Have Python's exit handlers call a function in C, whatever fails in the probe; returns the undoing.

    Two functions that are equal must not be used at once.
    """
    atexit.register(function, *args)
    return lambda: atexit.unregister(function)


def _replace(hook: Hook, name: str, own: Callable[..., object], observe: Before) -> None:
    def observed(*args: Any, **kwargs: Any) -> object:
        changed = observe(name, args)
        try:
            return own(*(args if changed is None else changed), **kwargs)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    is_in_c = not hasattr(own, "__code__")
    Replacement(hook, os, name, BuiltinShim(observed, own, "os") if is_in_c else observed)
