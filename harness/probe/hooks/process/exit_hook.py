"""Calls the probe when the program ends its own process by a signal: no exit handler of Python runs then.

Servers such as uvicorn do so at the end of an orderly shutdown: they restore the default action of SIGTERM
and raise the signal again, so that whoever started them sees by what they ended.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module behind `signal`
import os
import sys
import threading

from ..builtin_shim import BuiltinShim
from ..hook import Hook, leave_out
from ..replacement import Replacement
from ..runtime import why_no_joining_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Signals whose default action does not end a process.
_HARMLESS = ("SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH")


def before_own_signals(leave: Callable[[], object]) -> Callable[[], None]:
    """Call *leave* before each call that ends this process by a signal, from now on; returns its undoing.

    Not earlier than needed: a handler that such a call runs finds a frame of the probe on the stack.
    """
    hook = Hook("end by a signal")
    get_handler, own_pid, own_group = _signal.getsignal, os.getpid, os.getpgrp
    default, highest = _signal.SIG_DFL, _signal.NSIG
    harmless = {getattr(_signal, name, 0) for name in _HARMLESS}

    def leave_before(number: object) -> None:
        if isinstance(number, int) and 0 < number < highest and number not in harmless:
            handler = get_handler(number)
            if isinstance(handler, int) and handler == default:
                leave()

    # With wrong arguments they do nothing, and the function itself raises.

    def before_kill(*args: object) -> None:
        if len(args) == 2 and args[0] in (own_pid(), 0, -1, -own_group()):
            leave_before(args[1])

    def before_killpg(*args: object) -> None:
        if len(args) == 2 and args[0] in (own_group(), 0):
            leave_before(args[1])

    def before_raise(*args: object) -> None:
        leave_before(args[-1] if args else None)  # after the thread, for `pthread_kill`

    try:
        _observe(hook, (os,), "kill", before_kill)
        _observe(hook, (os,), "killpg", before_killpg)
        # Programs use the names in `signal`, which copies them when it is imported.
        modules = (_signal, *filter(None, [sys.modules.get("signal")]))
        _observe(hook, modules, "raise_signal", before_raise)
        _observe(hook, modules, "pthread_kill", before_raise)
    except BaseException:
        hook.undo()  # the caller gets no function for that
        raise
    return hook.undo


def before_joining(call: Callable[[], object]) -> None:
    """Call *call* when the main thread has ended, before Python waits for the other threads.

    What was registered earlier, such as the end of thread pools, comes later.
    """
    hook = Hook("end of the main thread")
    leave_out(hook.name, reason := why_no_joining_hook())
    if hook.is_on and not reason:
        threading._register_atexit(hook.guarded(call))  # type: ignore[attr-defined]


def _observe(hook: Hook, modules: tuple[Any, ...], name: str, before: Callable[..., object]) -> None:
    own = getattr(modules[0], name, None)
    if own is None or hasattr(own, "__code__") or not hook.is_on:
        return  # the system has none, or another library has replaced it
    observe = hook.guarded(before)

    def observed(*args: Any, **kwargs: Any) -> object:
        observe(*args)
        try:
            return own(*args, **kwargs)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    shim = BuiltinShim(observed, own, modules[0].__name__)
    for module in modules:
        if getattr(module, name, None) is own:
            Replacement(hook, module, name, shim)
