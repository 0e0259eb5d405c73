"""The faults that the runner and the console inject into the target, as a feature of the probe."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..feature import Feature

if TYPE_CHECKING:
    from ..session import ProbeSession
    from .faults import FaultInjector
    from .server import ControlServer


class Control(Feature):
    """The faults in force in this process, and the control socket for the runner."""

    def __init__(self, session: ProbeSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._injector: FaultInjector | None = None
        self._server: ControlServer | None = None
        faults = {
            "inject": lambda request: self._faults().inject(request),
            "heal": lambda request: self._faults().heal(request),
        }
        # The runner has its own list of faults; only the console asks for this one.
        session.handlers |= {**faults, "faults": lambda request: self._faults().in_force(request)}
        if session.config.control:
            from .server import ControlServer

            self._server = ControlServer(Path(session.config.control), faults)

    def close(self) -> None:
        if self._injector is not None:
            self._injector.heal_all()
        if self._server is not None:
            self._server.close()

    def abandon(self) -> None:
        if self._server is not None:
            self._server.abandon()
        if self._injector is not None:
            self._injector.heal_all()

    def _faults(self) -> FaultInjector:
        with self._lock:  # requests of the runner and the console come in different threads
            if self._injector is None:
                # Not earlier: runs without faults need not pay for these imports at the target's start.
                from .faults import FaultInjector

                self._injector = FaultInjector(self._session.write)
            return self._injector


def create(session: ProbeSession) -> Feature:
    return Control(session)
