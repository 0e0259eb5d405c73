"""Runs any Python program with the probe inside; everything else about it stays the program's own."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic_ns
from types import FrameType
from typing import Self

from ..errors import TargetError
from ..record.event import RunEnded, TargetExited, TargetStarted, TargetStopping
from ..record.probe_config import ProbeConfig
from ..record.run import Run, RunFolder
from ..record.writer import Writer
from .console.events import ConsoleEvents
from .counters import EVERY_S, Counters
from .gil_watcher import GilWatcher
from .process.guard import Guard
from .process.probe_env import environment
from .profilers.external import ExternalProfilers

# What a service manager or a shell sends to us is meant for the program.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# Those that ask it to end.
ENDING = (signal.SIGTERM, signal.SIGINT)


def watch(
    command: Sequence[str],
    run: Run,
    folder: RunFolder,
    order: ProbeConfig,
    *,
    profilers: Sequence[str],
    on_console: Callable[[str], None],
) -> int:
    """Run *command* to its end; its status as `subprocess.Popen.returncode` gives it, negative for a signal.

    Called in the main thread: signals are passed on to the program. *order* is what the probe is asked for,
    *profilers* are those that look at it from outside, from its first loop on. *on_console* is told how to
    reach each console of the program, or why there is none; it is called in another thread.

    Raises:
        TargetError: The system cannot run it.
    """
    writer = Writer(folder.events, "runner")
    news = ConsoleEvents(folder) if order.console is not None else None
    outside = ExternalProfilers(profilers, folder, writer.write)
    ended = threading.Event()
    error = ""
    try:
        with Guard() as guard, GilWatcher(folder, writer.write), _Signals() as signals:
            try:
                program = subprocess.Popen(command, env=environment(order, os.environ))
            except OSError as exc:
                error = f"{command[0]}: cannot be started: {exc.strerror}"
                raise TargetError(error) from None
            guard.over(program.pid)
            signals.pass_to(program)
            writer.write(TargetStarted(monotonic_ns(), program.pid, tuple(command)))
            following = threading.Thread(
                target=_follow, args=(folder, writer, news, outside, on_console, ended), daemon=True
            )
            following.start()
            status = program.wait()
            if signals.asked is not None:
                writer.write(signals.asked)
            ended.set()
            following.join()
            outside.finish()
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
        # The program has left its core dump; ours would replace it.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _follow(
    folder: RunFolder,
    writer: Writer,
    news: ConsoleEvents | None,
    outside: ExternalProfilers,
    on_console: Callable[[str], None],
    ended: threading.Event,
) -> None:
    loops = Counters(folder)
    while not ended.wait(EVERY_S):
        for reading in loops.sample():
            writer.write(reading)
            if outside.is_waiting:
                outside.attach(reading.pid)
        for line in news.look() if news is not None else ():
            on_console(line)


class _Signals:
    """Passes signals on to the program, but for a Ctrl-C, which the terminal sends to both."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self.asked: TargetStopping | None = None  # when the program was first sent a signal that means to end
        self._pending: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        handlers = dict.fromkeys(FORWARDED, self._pass_on) | {signal.SIGINT: self._pass_on_unless_typed}
        for number, handler in handlers.items():
            # What `nohup` or a shell made us ignore, the program inherits ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
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
        if number in ENDING and self.asked is None:
            # Written later: a handler may run in the middle of anything.
            self.asked = TargetStopping(monotonic_ns(), signal.Signals(number).name)
        if self._program is None:
            self._pending.append(number)
        else:
            self._program.send_signal(number)

    def _pass_on_unless_typed(self, number: int, frame: FrameType | None) -> None:
        if not _in_foreground():
            self._pass_on(number, frame)


def _in_foreground() -> bool:
    """Whether a Ctrl-C at our terminal, if we have one, reaches our group of processes."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
