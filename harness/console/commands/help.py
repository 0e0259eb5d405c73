"""`help`: the list of commands, or how one of them is used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..protocol import registry
from ..protocol.command import Command, CommandClient
from ..protocol.option import parser
from ..protocol.result import CommandResult
from ..view.process import ProcessView

# The width of a page of help, whatever the client's own width.
COLUMNS = 100


class HelpCommand(Command):
    name = "help"
    summary = "the commands, or one of them"
    help_order = 250

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("command", nargs="?", default="", help="describe this command")

    def candidates(self, process: ProcessView) -> list[str]:
        return registry.names()

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.command:
            command = registry.find(options.command)
            page = parser(command, columns=COLUMNS).format_help().rstrip()
            return CommandResult(
                lines=tuple(page.splitlines()), data={"name": command.name, "summary": command.summary}
            )
        every = registry.every_command()
        allowed = ", ".join(sorted(process.allowed)) or "reading only"
        return CommandResult(
            lines=(
                *(f"{command.name:<11} {command.summary}" for command in every),
                f"{'quit':<11} disconnect; timed actions keep running",
                "",
                f"Allowed here: {allowed}. Names may be abbreviated. Every command accepts --json.",
            ),
            data={
                "commands": [{"name": command.name, "summary": command.summary} for command in every],
                "allowed": sorted(process.allowed),
            },
            hint="help COMMAND: its options",
        )
