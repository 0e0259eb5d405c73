"""`signal`: sends a signal to this process, or lists the effect of each."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from functools import partial

from ...probe.hooks.state import loop_state
from ..protocol.command import READS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view.process import ProcessView

# These leave the program no chance to clean up; STOP also stops the console.
_HARD = (signal.SIGKILL, signal.SIGSTOP)
_HARMLESS = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)
_STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class SignalCommand(Command):
    name = "signal"
    summary = "send the process a signal"
    help_order = 180

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("signal", nargs="?", metavar="NAME", help="TERM, HUP, USR1 ...")
        parser.add_argument("--force", action="store_true", help="allow KILL and STOP")

    def needs(self, options: Namespace) -> str:
        return READS if options.signal is None else "signal"

    def candidates(self, process: ProcessView) -> Iterable[str]:
        return [known.name.removeprefix("SIG") for known in signal.Signals]

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.signal is None:
            rows = [(s.name, s.value, _effect(s, process)) for s in signal.Signals]
            # Signals that the program handles come first.
            rows.sort(key=lambda row: row[2].startswith("default"))
            return CommandResult(rows=Rows(("signal", "number", "effect"), rows))
        number = _named(options.signal)
        if number in _HARD and not options.force:
            raise CommandError(
                f"{number.name} leaves the program no chance to clean up; --force sends it anyway"
            )
        effect = _effect(number, process)
        # Before sending it: the process may not live long enough to answer.
        client.send_line(f"sending {number.name} to process {os.getpid()}: {effect}")
        os.kill(os.getpid(), number)
        return CommandResult(data={"signal": number.name, "pid": os.getpid(), "effect": effect})


def _named(text: str) -> signal.Signals:
    try:
        return signal.Signals["SIG" + text.upper().removeprefix("SIG")]
    except KeyError:
        raise CommandError(f"there is no signal named {text}") from None


def _effect(number: signal.Signals, process: ProcessView) -> str:
    if (handler := signal.getsignal(number)) is None:
        return "handled by code that is not Python"
    if handler is signal.SIG_IGN:
        return "ignored"
    if handler is signal.SIG_DFL:
        if number in _HARMLESS:
            return "default: nothing happens"
        return "default: stops the process" if number in _STOPPING else "default: ends the process"
    for view in process.loops():
        # asyncio's own loops show their handlers; uvloop's do not.
        handle = (loop_state.signal_handlers(view.loop) or {}).get(number)
        if handle is not None:
            return f"handled on the loop by {_name_of(loop_state.callback(handle))}"
    return f"handled by {_name_of(handler)}"


def _name_of(function: object) -> str:
    while isinstance(function, partial):
        function = function.func
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}:{name}" if name else type(function).__qualname__
