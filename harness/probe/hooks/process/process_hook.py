"""Calls the probe when the program forks, ends, or calls a function of `os` that changes its process."""

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


def around_fork(*, before: Callable[[], object] | None = None, in_child: Callable[[], object]) -> None:
    """Call *before* before each fork, and *in_child* after it in the child; for good."""
    # Called again after an error, unlike other hooks: a child must release its parent's parts, and a fork
    # that is not prepared may warn of the probe's threads.
    child = _always(Hook("forked child"), in_child)
    if before is None:
        os.register_at_fork(after_in_child=child)
    else:
        os.register_at_fork(before=_always(Hook("fork"), before), after_in_child=child)


def _always(hook: Hook, step: Callable[[], object]) -> Callable[[], None]:
    caught = hook.caught

    def called() -> None:
        try:
            step()
        except BaseException as exc:
            if not caught(exc):
                raise

    return called


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
