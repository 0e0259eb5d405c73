"""`debug`: switches on a running loop's asyncio debug mode, for a limited time."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import suppress
from typing import Any

from ..protocol import duration
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..view import loop_choice
from ..view.loop_view import LoopView
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 60.0, 600.0


class DebugCommand(Command):
    name = "debug"
    summary = "asyncio's debug mode, for a limited time"
    help_order = 200

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("on", "off"))
        duration.add_for(parser, DEFAULT_S, LONGEST_S, "switch it off after this time")
        parser.add_argument("--slow-ms", type=float, help="log callbacks that take longer than this")
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return READS if options.what is None else SLOWS

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        view = loop_choice.chosen(process, options.loop)
        loop: Any = view.loop
        if options.what == "off":
            if not process.changes.end(_change(view)):
                raise CommandError("this console has not switched it on")
            return CommandResult(lines=("debug mode is being switched off",), data={"debug": False})
        if options.what == "on":
            if loop.get_debug():
                raise CommandError("debug mode is on already")
            client.send_line("in debug mode, a turn that does little takes up to twenty times as long")
            _switch_on(view, options, process)
        slow_ms = loop.slow_callback_duration * 1e3
        state = f"on: callbacks over {slow_ms:g} ms are logged" if loop.get_debug() else "off"
        return CommandResult(
            lines=(f"debug mode of loop {view.number} is {state}",),
            data={"loop": view.number, "debug": loop.get_debug(), "slow_ms": slow_ms},
            hint="debug off: at once" if options.what else "",
        )


def _switch_on(view: LoopView, options: Namespace, process: ProcessView) -> None:
    loop: Any = view.loop
    slow_s = loop.slow_callback_duration

    def on() -> None:
        if options.slow_ms is not None:
            loop.slow_callback_duration = options.slow_ms / 1e3
        loop.set_debug(True)

    def off() -> None:
        loop.slow_callback_duration = slow_s
        loop.set_debug(False)

    def undo() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(off)

    what = f"debug mode of loop {view.number}"
    with process.changes.changing(_change(view), what, for_s=options.for_s, undo=undo):
        process.on_loop(view, on)


def _change(view: LoopView) -> str:
    return f"debug {view.number}"
