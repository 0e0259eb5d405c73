"""The command `harness`: runs the sub-command, and prints an error as one clear message."""

from __future__ import annotations

import importlib
import os
import sys

import click

from . import failure, results, standard_streams
from .summary import SUMMARIES

# One module each, imported only when it is used, and so not for the list of all of them.
COMMANDS = tuple(SUMMARIES)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f".{cmd_name}", __package__), cmd_name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="asyncio-harness", prog_name="harness")
@click.option(
    "--debug", is_flag=True, help=f"Show the traceback of an internal error, as {failure.DEBUG}=1 does."
)
def harness(*, debug: bool) -> None:
    """Put any asyncio service under load and chaos, and name the line that blocks its loop, the requests it
    hurt, and whether it got slower."""
    if debug:
        os.environ[failure.DEBUG] = "1"


def main() -> None:
    """The console script: run the command, and exit with its status."""
    standard_streams.open_missing()
    try:
        status = harness.main(prog_name="harness", standalone_mode=False) or 0
        results.flush()
    except (Exception, KeyboardInterrupt, failure.TerminatedError) as exc:
        status = failure.tell(exc)
    sys.exit(status)
