"""The faults that the runner and the console inject into the target, as a feature of the probe."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..feature import Feature

if TYPE_CHECKING:
    from ..session import ProbeSession
    from .faults import FaultInjector
    from .server import ControlServer, Handler

# Processes beyond this number share the dice of their faults.
MOST_PROCESSES = 4096


class Control(Feature):
    """The faults in force in this process, and the control socket for the runner."""

    def __init__(self, session: ProbeSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._injector: FaultInjector | None = None
        self._server: ControlServer | None = None
        self._number = 0
        faults: dict[str, Handler] = {
            "find": lambda request: self._faults().find(request),
            "inject": lambda request: self._faults().inject_when_loaded(request),
            "heal": lambda request: self._faults().heal(request),
        }
        # The runner has its own list of faults; only the console asks for this one.
        session.handlers |= {**faults, "faults": lambda request: self._faults().in_force(request)}
        if session.config.control:
            from .server import ControlServer

            control = Path(session.config.control)
            self._number = _numbered(control)
            self._server = ControlServer(control, faults)
            self._take_over(control)

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

                control = self._session.config.control
                self._injector = FaultInjector(
                    self._session.write,
                    on_error=self._session.failed,
                    control=Path(control) if control else None,
                    number=self._number,
                )
            return self._injector

    def _take_over(self, control: Path) -> None:
        """Inject what is in force in the run already, before the loop of this process runs."""
        from ...record.fault.board import FaultBoard

        for request in FaultBoard(control).posted():
            self._faults().take_over({**request, "wait": True})


def _numbered(control: Path) -> int:
    """The number of this process among those of the run that ran a loop, in the order of their starts."""
    for number in range(MOST_PROCESSES):
        try:
            (control / f"{number}.process").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    return MOST_PROCESSES


def create(session: ProbeSession) -> Feature:
    return Control(session)
