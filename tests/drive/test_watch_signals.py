"""Signals that a watching runner gets, for the program and for the record."""

from __future__ import annotations

import os
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

from harness.drive.watch import _Signals
from harness.record.event import Event, TargetStopping
from tests.support.recorded import of_kind


def test_the_first_signal_that_asked_for_the_end_is_recorded_once() -> None:
    """Whoever writes it first; those that came before the program was started reach it then."""
    before, told = signal.getsignal(signal.SIGTERM), list[Event]()
    writer: Any = SimpleNamespace(write=told.append)
    with _Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        first, again = signals.write_stopping(writer), signals.write_stopping(writer)
        program = subprocess.Popen(["sleep", "60"])
        signals.pass_to(program)

    assert program.wait() == -signal.SIGTERM
    assert (first.signal, again, signals.asked) == ("SIGTERM", first, 2)
    assert of_kind(told, TargetStopping) == told == [first]
    assert signal.getsignal(signal.SIGTERM) is before
