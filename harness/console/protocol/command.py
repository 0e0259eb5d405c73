"""The base class of the console's commands, and what a command may use of its client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    # A console without clients imports none of these.
    from argparse import ArgumentParser, Namespace

    from ..view.process import ProcessView
    from .result import CommandResult

# What a command needs if not a permission of its own: nothing, because it only reads; an event in the record;
# or the permission to slow the program down, or to make its log longer, for a limited time.
READS, ACTS, SLOWS = "", "acts", "slow"


class CommandClient(Protocol):
    """The client that sent the line: for commands that take a while, or ask for more input."""

    def send_line(self, line: str) -> None:
        """Send a line ahead of the answer. Does nothing if the client has left."""

    def read_line(self, prompt: str) -> str | None:
        """Ask for another line of input; `None` if the client has left, was idle, or ended its input."""

    def wait_gone(self, *, within_s: float) -> bool:
        """Wait for at most *within_s*; true as soon as the client no longer wants an answer.

        It has left, or typed Ctrl-C; or the console closes.
        """


class Command:
    """A command of the console: the only subclass in a file of `commands/` that has the command's name.

    It runs in its client's own thread and may take its time there, but never the loop's.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line, for `help`
    help_order: ClassVar[int] = 1_000  # position in `help`, the lowest first
    is_verbatim: ClassVar[bool] = False  # the line is split at single spaces, and quotes are kept

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's own options; those of every table (``--json``, ``--limit`` ...) follow."""

    def needs(self, options: Namespace) -> str:
        """The need of these options: one of `PERMISSIONS` (`record/probe_config.py`), `READS` or `ACTS`."""
        return READS

    def candidates(self, process: ProcessView) -> Iterable[str]:
        """The words that may follow the command's name; completion picks those that fit."""
        return ()

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        """Carry out the command.

        Raises:
            CommandError: It cannot be done. Any other exception is a bug: it is reported to the client, and
                the session goes on.
        """
        raise NotImplementedError
