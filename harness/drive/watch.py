"""Runs any Python program with the probe inside; everything else about it stays the program's own."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from time import monotonic_ns
from types import FrameType

from ..errors import UsageError
from ..record.event import RunEnded, TargetExited, TargetStarted
from ..record.order import Order
from ..record.run import Run, RunFolder
from ..record.writer import Writer
from .counters import EVERY_S, Counters
from .inside import environment

# What a service manager or a shell sends to us is meant for the program.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def watch(command: Sequence[str], run: Run, folder: RunFolder, *, console_port: int | None) -> int:
    """Run *command* to its end; its status as `subprocess.Popen.returncode` gives it, negative for a signal.

    Called in the main thread: signals are passed on to the program.

    Raises:
        UsageError: There is no such program.
    """
    order = Order(folder=folder.path.resolve(), limit_ns=run.block_limit_ns, console_port=console_port)
    writer = Writer(folder.events, "runner")
    ended = threading.Event()
    error = ""
    try:
        with _Signals() as signals:
            try:
                program = subprocess.Popen(command, env=environment(order, os.environ))
            except OSError as exc:
                error = f"{command[0]}: cannot be started: {exc.strerror}"
                raise UsageError(error) from None
            signals.pass_to(program)
            writer.write(TargetStarted(monotonic_ns(), program.pid, tuple(command)))
            sampling = threading.Thread(target=_sample, args=(folder, writer, ended), daemon=True)
            sampling.start()
            status = program.wait()
            ended.set()
            sampling.join()
            # Whatever its status: the program ends when it wants to, and that is no failure of the run.
            writer.write(TargetExited(monotonic_ns(), status, expected=True))
        return status
    finally:
        writer.write(RunEnded(monotonic_ns(), interrupted=False, error=error))
        writer.close()


def end_as(status: int) -> int:
    """The exit status that shows a program's *status* to our caller; does not return for a signal's.

    A program that ended by a signal makes us end by that signal, so that shells and service managers see
    what they would have seen.
    """
    if status < 0:
        number = -status
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), number)
    return status


def _sample(folder: RunFolder, writer: Writer, ended: threading.Event) -> None:
    loops = Counters(folder)
    while not ended.wait(EVERY_S):
        for reading in loops.sample():
            writer.write(reading)


class _Signals:
    """Passes signals on to the program, and keeps a Ctrl-C, which the terminal sends to both, from us."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._pass_on)
        self._before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as `signal.signal` gave it

    def pass_to(self, program: subprocess.Popen[bytes]) -> None:
        """The program that signals are for, from now on, with those that came before it ran."""
        self._program = program
        for number in self._pending:
            program.send_signal(number)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if self._program is None:
            self._pending.append(number)
        else:
            self._program.send_signal(number)
