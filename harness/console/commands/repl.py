"""`repl`: a Python prompt on the program's loop, with ``await`` at the top level."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser, Namespace

from ..protocol import duration
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult
from ..tools.interpreter import EvaluationResult, Interpreter
from ..view import loop_choice
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 30.0, 600.0


class ReplCommand(Command):
    name = "repl"
    summary = "a Python prompt on the loop"
    help_order = 230
    is_verbatim = True  # the line is code: quotes are part of it

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", nargs=REMAINDER, metavar="CODE", help="run only this, without a prompt")
        parser.add_argument(
            "--within",
            dest="within_s",
            type=duration.up_to(LONGEST_S),
            default=DEFAULT_S,
            metavar="TIME",
            help=f"cancel code that takes longer [{DEFAULT_S:g}s]",
        )
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return "repl"

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        interpreter = Interpreter(process, loop_choice.chosen(process, options.loop))
        if code := " ".join(options.code).strip():
            result = interpreter.run(code, client, within_s=options.within_s)
            return CommandResult(
                lines=tuple(_lines(result)),
                data={"value": result.value, "printed": result.printed, "error": result.error},
                failed=result.error is not None,
            )
        client.send_line(
            "Python on the loop's thread, with await. Names: asyncio, loop, task(ID), the main module's."
        )
        client.send_line(
            "Code that does not await blocks the whole service. An empty line ends a block; exit() leaves."
        )
        _converse(interpreter, options, client)
        return CommandResult()


def _converse(interpreter: Interpreter, options: Namespace, client: CommandClient) -> None:
    while (source := _read(interpreter, client)) is not None:
        if not source.strip():
            continue
        if source.strip() in ("exit", "quit"):
            return
        try:
            result = interpreter.run(source, client, within_s=options.within_s)
        except CommandError as exc:
            client.send_line(str(exc))
            continue
        if result.is_exit:
            return
        for line in _lines(result):
            client.send_line(line)


def _read(interpreter: Interpreter, client: CommandClient) -> str | None:
    """The next complete piece of code; `None` when there is no more."""
    source = client.read_line(">>> ")
    while source is not None and not interpreter.is_complete(source):
        if (more := client.read_line("... ")) is None:
            return None
        source += "\n" + more
    return source


def _lines(result: EvaluationResult) -> list[str]:
    parts = [result.printed.removesuffix("\n"), result.value or "", result.error or ""]
    return [line for part in parts if part for line in part.split("\n")]
