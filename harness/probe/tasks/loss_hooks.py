"""The hooks by which asyncio and Python tell of lost work, in a process that started without the probe."""

from __future__ import annotations

import sys
import warnings
from asyncio import AbstractEventLoop, base_events, taskgroups
from typing import TYPE_CHECKING

from ..hooks import exception_hook, group_hook
from ..hooks.hook import Hook

if TYPE_CHECKING:
    from ..hooks.exception_hook import LossObserver


class LossHooks:
    """Installed until `undo`; several may be at a time."""

    def __init__(self, observer: LossObserver) -> None:
        self._observer = observer
        self._kinds: set[type] = set()
        self._hooks: list[Hook] = [
            exception_hook.install_unawaited(warnings, lambda: observer),
            group_hook.install(taskgroups),
        ]
        self._report(base_events.BaseEventLoop)

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        """Called when a loop is about to run, which may be of a class of its own."""
        uvloop = sys.modules.get("uvloop")
        if uvloop is not None and isinstance(loop, uvloop.Loop):
            self._report(uvloop.Loop)

    def undo(self) -> None:
        """Take everything back."""
        while self._hooks:
            self._hooks.pop().undo()

    def _report(self, kind: type) -> None:
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._hooks.append(exception_hook.install_exception_handler(kind, lambda: self._observer))
