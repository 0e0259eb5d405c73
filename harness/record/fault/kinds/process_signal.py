"""`process.signal`: a signal that arrives in the middle of the work."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class ProcessSignal:
    """The call sends a signal to its own process, so that it arrives at this place."""

    shows: ClassVar[str] = "what is lost when the service ends, or is killed, exactly there"

    signal: str = parameter(str, "Its name: SIGTERM, SIGKILL, SIGHUP and so on.", default="SIGTERM")

    def describe(self) -> str:
        return f"sends {self.signal}"

    def prepare(self, resolve: Resolve) -> Effect:
        number = getattr(signal.Signals, self.signal, None)
        if number is None:
            raise TypeError(f"{self.signal} is no signal, such as SIGTERM")
        return Effect(functools.partial(_send, number))


def _send(number: int) -> None:
    os.kill(os.getpid(), number)


KIND = ProcessSignal
