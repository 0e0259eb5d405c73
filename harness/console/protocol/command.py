"""What a command of the console is. Each lives in a file of its own in `commands/`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    # A console that nobody comes to needs none of it.
    from argparse import ArgumentParser, Namespace

    from ..view.target import Target
    from .result import CommandResult

# What a command can need besides a permission: nothing, because it only reads; or a line in the record,
# because it changes something, for a limited time.
READS, ACTS = "", "acts"


class CommandError(Exception):  # it is no fault of anybody's
    """The command cannot do what was asked; the message, one sentence, tells the client why."""


class CommandClient(Protocol):
    """Who asked: for commands that take a while, or that hold a conversation."""

    def say(self, line: str) -> None:
        """Send a line ahead of the answer. Nothing happens if the client has left."""
        ...

    def read(self, prompt: str) -> str | None:
        """Ask for one more line of input; `None` when the client has left, was idle, or ended its input."""
        ...

    def has_left(self, *, within_s: float) -> bool:
        """Wait for at most so long; true as soon as the client wants no answer any more.

        It has left, or typed Ctrl-C; or the console closes.
        """
        ...


class Command(Hashable, Protocol):
    """One command. It runs in its client's own thread and may take its time there, but never the loop's."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str:
        """One line, for `help`; as `registry.py` has it."""
        ...

    def needs(self, options: Namespace) -> str:
        """What these options ask for: one of `PERMISSIONS` (`record/probe_config.py`), `READS` or `ACTS`."""
        ...

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; those of every table (``--json``, ``--limit`` ...) are there already."""
        ...

    def answer(self, options: Namespace, target: Target, client: CommandClient) -> CommandResult:
        """Do it.

        Raises:
            Refusal: It cannot be done. Any other exception is a fault of ours: the client is told, the
                service goes on.
        """
        ...


@runtime_checkable
class Verbatim(Protocol):
    """A command whose words are what stands between two spaces: quotes are its own."""

    verbatim: bool


@runtime_checkable
class Completing(Protocol):
    """A command that knows what its argument can be."""

    def candidates(self, target: Target) -> Iterable[str]:
        """The words that can stand after the command's name; the session picks those that fit."""
        ...
