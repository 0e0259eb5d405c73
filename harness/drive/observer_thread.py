"""The threads in which the runner observes a target: what one raises is recorded, and the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic_ns

from ..record.event import Event, ObserverFailed


class ObserverThread(threading.Thread):
    """Calls *observe* once, in the background."""

    def __init__(self, name: str, observe: Callable[[], object], write: Callable[[Event], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._observe = observe
        self._write = write

    def run(self) -> None:
        try:
            self._observe()
        except Exception as exc:
            error = f"{type(exc).__name__}: {exc}".removesuffix(": ")
            self._write(ObserverFailed(monotonic_ns(), self.name, error))
