"""Runs any Python program with the probe inside, and changes nothing else about it."""

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
from ..record.redact import redacted_command
from ..record.run import Run, RunFolder
from ..record.writer import Writer
from . import seal
from .console.events import ConsoleEvents
from .counters import EVERY_S, Counters
from .gil_watcher import GilWatcher
from .process.guard import Guard
from .process.invitations import Invitations
from .process.probe_env import environment
from .process.process_tree import ProcessTree
from .profilers.external import ExternalProfilers

# Signals that a service manager or a shell sends to this process are meant for the program.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# Signals that ask the program to end.
ENDING = (signal.SIGTERM, signal.SIGINT)


def watch(
    command: Sequence[str],
    run: Run,
    folder: RunFolder,
    config: ProbeConfig,
    *,
    profilers: Sequence[str],
    on_console: Callable[[str], None],
) -> int:
    """Run *command* to its end and return its status as in `Popen.returncode`: negative for a signal.

    Must be called in the main thread, since signals are passed on to the program. The external *profilers*
    start with the program's first loop. *on_console* is called in another thread, with how to reach each
    console of the program or why there is none.

    Raises:
        TargetError: The system cannot start it.
    """
    writer = Writer(folder.events, "runner")
    reserve = seal.DiskReserve(folder)
    console_events = ConsoleEvents(folder) if config.console is not None else None
    external = ExternalProfilers(profilers, folder, writer.write)
    ended = threading.Event()
    error = ""

    def follow() -> None:
        loops = Counters(folder)
        while not ended.wait(EVERY_S):
            for reading in loops.sample():
                writer.write(reading)
                if external.is_waiting:
                    external.attach(reading.pid)
            for line in console_events.poll() if console_events is not None else ():
                on_console(line)

    try:
        with (
            Guard() as guard,
            GilWatcher(folder, writer.write),
            ProcessTree(folder, writer.write) as processes,
            Invitations(config) as invitations,
            _Signals() as signals,
        ):
            try:
                program = subprocess.Popen(command, env=environment(config, os.environ))
            except OSError as exc:
                error = f"{command[0]}: cannot be started: {exc.strerror}"
                raise TargetError(error) from None
            guard.over(program.pid)
            processes.follow(program.pid)
            invitations.invite(program.pid)
            signals.pass_to(program)
            writer.write(TargetStarted(monotonic_ns(), program.pid, redacted_command(command)))
            following = threading.Thread(target=follow, daemon=True)
            following.start()
            status = program.wait()
            if signals.stopping is not None:
                writer.write(signals.stopping)
            ended.set()
            following.join()
            external.finish()
            # The program may end when it likes, but an error that nobody asked for is one.
            is_expected = status == 0 or signals.stopping is not None
            writer.write(TargetExited(monotonic_ns(), status, is_expected))
        return status
    finally:
        reserve.release()
        writer.write(
            RunEnded(
                at_ns=monotonic_ns(),
                interrupted=False,
                error=error,
                incomplete=writer.error,
                files=seal.files(folder, own=writer.path),
            )
        )
        writer.close()


def end_as(status: int) -> int:
    """Return the exit status to end with; for a program that was killed by a signal, do not return.

    In that case end by the same signal, as shells and service managers would see it without the harness.
    """
    if status < 0:
        # The program has written its core dump; ours would replace it.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


class _Signals:
    """Passes signals on to the program, except a Ctrl-C, which the terminal sends to both."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self.stopping: TargetStopping | None = None  # the first signal that asked the program to end
        self._pending: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        handlers = dict.fromkeys(FORWARDED, self._pass_on) | {signal.SIGINT: self._pass_on_unless_typed}
        for number, handler in handlers.items():
            # A signal that `nohup` or a shell made us ignore stays ignored: the program inherits that.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as `signal.signal` returned it

    def pass_to(self, program: subprocess.Popen[bytes]) -> None:
        """Pass signals to *program* from now on, and those that came before it was started."""
        self._program = program
        for number in self._pending:
            program.send_signal(number)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._note(number)
        if self._program is None:
            self._pending.append(number)
        else:
            self._program.send_signal(number)

    def _pass_on_unless_typed(self, number: int, frame: FrameType | None) -> None:
        if _in_foreground():
            self._note(number)
        else:
            self._pass_on(number, frame)

    def _note(self, number: int) -> None:
        """Keep the first signal that asked the program to end."""
        if number in ENDING and self.stopping is None:
            # Written later: a handler may interrupt any code, including the writer's.
            self.stopping = TargetStopping(monotonic_ns(), signal.Signals(number).name)


def _in_foreground() -> bool:
    """Whether a Ctrl-C at our terminal, if there is one, reaches our process group."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
