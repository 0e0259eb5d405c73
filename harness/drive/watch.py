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
from ..record.event import TargetExited, TargetStarted, TargetStopping
from ..record.probe_config import ProbeConfig
from ..record.redact import redacted_command
from ..record.run import Run
from ..record.run_folder import RunFolder
from ..record.writer import Writer
from . import seal
from .console.events import ConsoleEvents
from .counters import EVERY_S, Counters
from .gil_watcher import GilWatcher
from .hang.watcher import HangSettings, HangWatcher
from .observer_thread import ObserverThread
from .process.guard import Guard
from .process.invitations import Invitations
from .process.probe_env import environment
from .process.process_tree import ProcessTree
from .profilers.external import ExternalProfilers

# Signals that a service manager or a shell sends to this process are meant for the program.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# Signals that ask the program to end.
ENDING = (signal.SIGTERM, signal.SIGINT)
# A program that still runs this long after the first one may never end. By then the probe has recorded what
# it waits for.
PATIENCE_NS = 6_000_000_000
# The same after a further signal.
PATIENCE_AGAIN_NS = 2_000_000_000


def watch(
    command: Sequence[str],
    run: Run,
    folder: RunFolder,
    config: ProbeConfig,
    *,
    profilers: Sequence[str],
    on_console: Callable[[str], None],
    on_hang: Callable[[str], None],
    on_lingering: Callable[[str, float], None],
) -> int:
    """Run *command* to its end and return its status as in `Popen.returncode`: negative for a signal.

    Must be called in the main thread, since signals are passed on to the program. The external *profilers*
    start with the program's first loop. *on_console* is called in another thread, with how to reach each
    console of the program or why there is none; so is *on_hang*, with a line about a loop that hangs; and
    *on_lingering*, with the name of a signal that asked the program to end and the seconds since then, if it
    still runs: nothing else may ever end this call.

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
        loops, told = Counters(folder), 0
        while not ended.wait(EVERY_S):
            if signals.is_overdue(told):
                told = signals.asked
                stopping = signals.write_stopping(writer)
                asked_s = (monotonic_ns() - stopping.at_ns) / 1e9
                # Beside this thread: a large record takes long to read.
                threading.Thread(target=on_lingering, args=(stopping.signal, asked_s), daemon=True).start()
            for reading in loops.sample():
                writer.write(reading)
                if external.is_waiting:
                    external.attach(reading.pid)
            for line in console_events.poll() if console_events is not None else ():
                on_console(line)

    try:
        with (
            Guard() as guard,
            GilWatcher(folder, writer.write) as dumps,
            HangWatcher(folder, HangSettings.of(config), writer.write, dumps, on_hang),
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
            following = ObserverThread("loop-follower", follow, writer.write)
            following.start()
            status = program.wait()
            ended.set()
            following.join()
            if signals.stopping is not None:
                signals.write_stopping(writer)
            external.finish()
            # The program may end when it likes, but an error that nobody asked for is one.
            is_expected = status == 0 or signals.stopping is not None
            writer.write(TargetExited(monotonic_ns(), status, is_expected))
        return status
    finally:
        seal.end(folder, writer, reserve, error=error)


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
        self.asked = 0  # how many did
        self._asked_ns = 0  # when the latest came
        self._is_written = False
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

    def is_overdue(self, told: int) -> bool:
        """Whether the program should have ended by now, and only the first *told* signals are told."""
        if self.stopping is None or self.asked <= told:
            return False
        now_ns = monotonic_ns()
        return (
            now_ns - self.stopping.at_ns >= PATIENCE_NS
            if not told
            else now_ns - self._asked_ns >= PATIENCE_AGAIN_NS
        )

    def write_stopping(self, writer: Writer) -> TargetStopping:
        """Write the first signal that asked the program to end, once, and return it.

        Not in the handler, which may interrupt any code, including the writer's.
        """
        assert self.stopping is not None
        if not self._is_written:
            self._is_written = True
            writer.write(self.stopping)
        return self.stopping

    def _note(self, number: int) -> None:
        """Count the signals that asked the program to end, and keep the first one."""
        if number in ENDING:
            self.asked, self._asked_ns = self.asked + 1, monotonic_ns()
            self.stopping = self.stopping or TargetStopping(self._asked_ns, signal.Signals(number).name)


def _in_foreground() -> bool:
    """Whether a Ctrl-C at our terminal, if there is one, reaches our process group."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
