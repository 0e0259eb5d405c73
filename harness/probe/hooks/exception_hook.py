"""Observes what asyncio and Python report about lost work; the reports still reach their handlers.

Finalizers make such reports, rarely, at any time and in any thread. Every process that imports asyncio pays
for the imports here, even without a loop.
"""

from __future__ import annotations

import functools
from types import FunctionType, SimpleNamespace

from .hook import Hook, leave_out
from .replacement import Replacement
from .runtime import unawaited_warning, why_no_exception_handler, why_no_unawaited_warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CoroutineType, ModuleType
    from typing import Any, Protocol

    class LossObserver(Protocol):
        """Is told of lost work, at any time and in any thread."""

        def exception_reported(self, context: dict[str, Any]) -> None:
            """Called when asyncio reports *context* to a loop's exception handler."""

        def unawaited(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
            """Called when Python warns that *coroutine* was never awaited."""


def install_exception_handler(kind: type, session: Callable[[], LossObserver | None]) -> Hook:
    """Pass on to the open session what loops of this class report to their exception handler."""
    hook = Hook("lost exceptions")
    leave_out(hook.name, reason := why_no_exception_handler(kind))
    if reason or not hook.is_on:
        return hook
    own = vars(kind).get("call_exception_handler") or kind.call_exception_handler  # type: ignore[attr-defined]

    @hook.guarded
    def report(context: dict[str, Any]) -> None:
        if (open_now := session()) is not None:
            open_now.exception_reported(context)

    @functools.wraps(own)
    def call_exception_handler(loop: object, context: dict[str, Any]) -> None:
        report(context)
        own(loop, context)

    Replacement(hook, kind, "call_exception_handler", call_exception_handler)
    return hook


def install_unawaited(warnings: ModuleType, session: Callable[[], LossObserver | None]) -> Hook:
    """Pass on to the session the coroutines that Python warns about because they were never awaited.

    The function that warns reports its caller's line, so it cannot be wrapped. It is copied instead, with
    another `warn` that skips one more frame.
    """
    hook = Hook("coroutines never awaited")
    leave_out(hook.name, reason := why_no_unawaited_warning(warnings))
    if reason or not hook.is_on:
        return hook
    own = unawaited_warning(warnings)

    @hook.guarded
    def report(source: CoroutineType[Any, Any, Any]) -> None:
        if (open_now := session()) is not None:
            open_now.unawaited(source)

    def warn(
        message: str, *, category: type[Warning], stacklevel: int, source: CoroutineType[Any, Any, Any]
    ) -> None:
        report(source)
        warnings.warn(message, category=category, stacklevel=stacklevel + 1, source=source)

    # Since Python 3.15 it finds `warn` in a module, which its own one names `_wm`.
    ours = {"_wm": SimpleNamespace(warn=warn)} if "_wm" in own.__code__.co_names else {"warn": warn}
    copy = FunctionType(own.__code__, {**own.__globals__, **ours}, own.__name__)
    Replacement(hook, warnings, "_warn_unawaited_coroutine", copy)
    return hook
