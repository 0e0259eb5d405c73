"""`repl`: a Python prompt on the target's loop, with ``await`` at the top level."""

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
        parser.add_argument("code", nargs=REMAINDER, metavar="CODE", help="run this alone, without a prompt")
        parser.add_argument(
            "--within",
            dest="within_s",
            type=duration.up_to(LONGEST_S),
            default=DEFAULT_S,
            metavar="TIME",
            help=f"cancel what takes longer [{DEFAULT_S:g}s]",
        )
        loop_choice.add_loop_argument(parser)

    def needs(self, options: Namespace) -> str:
        return "repl"

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        interpreter = Interpreter(process, loop_choice.chosen(process, options.loop))
        if code := " ".join(options.code).strip():
            outcome = interpreter.run(code, client, within_s=options.within_s)
            return CommandResult(
                lines=tuple(_lines(outcome)),
                data={"value": outcome.value, "printed": outcome.printed, "error": outcome.error},
                failed=outcome.error is not None,
            )
        client.say(
            "Python on the loop's thread, `await` at hand: asyncio, loop, task(ID), the main module's names."
        )
        client.say("What does not await holds the whole service. An empty line ends a block; exit() leaves.")
        _converse(interpreter, options, client)
        return CommandResult()


def _converse(interpreter: Interpreter, options: Namespace, client: CommandClient) -> None:
    while (source := _read(interpreter, client)) is not None:
        if not source.strip():
            continue
        if source.strip() in ("exit", "quit"):
            return
        try:
            outcome = interpreter.run(source, client, within_s=options.within_s)
        except CommandError as exc:
            client.say(str(exc))
            continue
        if outcome.wants_out:
            return
        for line in _lines(outcome):
            client.say(line)


def _read(interpreter: Interpreter, client: CommandClient) -> str | None:
    """The next complete piece of code; `None` when there is no more."""
    source = client.read(">>> ")
    while source is not None and not interpreter.is_complete(source):
        more = client.read("... ")
        if more is None:
            return None
        source += "\n" + more
    return source


def _lines(outcome: EvaluationResult) -> list[str]:
    parts = [outcome.printed.removesuffix("\n"), outcome.value or "", outcome.error or ""]
    return [line for part in parts if part for line in part.split("\n")]
