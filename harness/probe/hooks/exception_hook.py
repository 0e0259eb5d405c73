"""Observes what asyncio and Python report about lost work; the reports still reach their handlers.

Finalizers make such reports, rarely, at any time and in any thread. Every process that imports asyncio pays
for the imports here, even without a loop.
"""

from __future__ import annotations

import functools
from types import FunctionType

from .runtime import unawaited_warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CoroutineType, ModuleType
    from typing import Any

    from ..session import ProbeSession


def install_exception_handler(kind: type, session: Callable[[], ProbeSession | None]) -> None:
    """Pass on to the session what loops of this class report to their exception handler."""
    own = kind.call_exception_handler  # type: ignore[attr-defined]  # every loop has it

    @functools.wraps(own)
    def call_exception_handler(loop: object, context: dict[str, Any]) -> None:
        if (open_now := session()) is not None:
            open_now.exception_reported(context)
        own(loop, context)

    kind.call_exception_handler = call_exception_handler  # type: ignore[attr-defined]


def install_unawaited(warnings: ModuleType, session: Callable[[], ProbeSession | None]) -> None:
    """Pass on to the session the coroutines that Python warns about because they were never awaited.

    The function that warns reports its caller's line, so it cannot be wrapped. It is copied instead, with
    another `warn` that skips one more frame.
    """
    if (own := unawaited_warning(warnings)) is None:
        return

    def warn(
        message: str, *, category: type[Warning], stacklevel: int, source: CoroutineType[Any, Any, Any]
    ) -> None:
        if (open_now := session()) is not None:
            open_now.unawaited(source)
        warnings.warn(message, category=category, stacklevel=stacklevel + 1, source=source)

    copy = FunctionType(own.__code__, {**own.__globals__, "warn": warn}, own.__name__)
    vars(warnings)["_warn_unawaited_coroutine"] = copy
