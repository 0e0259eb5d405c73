"""The options of a line: `argparse` without its exits, plus the options that every command has."""

from __future__ import annotations

import functools
import re
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Sequence
from typing import NoReturn

from .command import Command
from .errors import OptionError

LIMIT = 20
# The rows of ``--limit 0``, and the most that a client gets at once.
MOST = 10_000
# Most cached parsers; more than there are commands, as a parser also depends on the client's width.
PARSERS = 64
# An option at the beginning of its line of help, or after its short form.
_FLAG = re.compile(r"(?:^  |, )(-[\w-]+)", re.MULTILINE)


class HelpRequested(Exception):  # noqa: N818  # not an error: the way out of `argparse`
    """The line asks for help; the message is the help text."""


def parse(command: Command, words: Sequence[str], *, columns: int) -> Namespace:
    """The options in *words*.

    Raises:
        OptionError: They are wrong.
        HelpRequested: They contain ``--help``.
    """
    return parser(command, columns=columns).parse_args(_joined(words))


# Cached: a parser is dozens of objects in reference cycles, which only the collector frees. A service with
# infrequent collections grew by megabytes between two of them.
@functools.lru_cache(PARSERS)
def parser(command: Command, *, columns: int) -> ArgumentParser:
    """The parser of a command's options."""
    made = _Parser(
        prog=command.name,
        description=command.summary,
        allow_abbrev=False,
        formatter_class=lambda prog: HelpFormatter(prog, width=columns),
    )
    command.add_arguments(made)
    made.add_argument("--json", action="store_true", help="one line of JSON")
    table = made.add_argument_group("tables")
    table.add_argument(
        "--limit", type=_count, default=LIMIT, metavar="N", help=f"rows per page, 0 for all [{LIMIT}]"
    )
    table.add_argument("--page", type=_page, default=1, metavar="N", help="page number [1]")
    table.add_argument("--filter", default="", metavar="TEXT", help="rows with TEXT, or with COLUMN=TEXT")
    table.add_argument(
        "--sort", default="", metavar="COLUMN", help="sort by a column; -COLUMN: largest first"
    )
    return made


def flags(command: Command) -> list[str]:
    """The command's options, for completion."""
    return _FLAG.findall(parser(command, columns=200).format_help())


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{self.prog}: {message}; see help {self.prog}")

    def print_help(self, file: object = None) -> NoReturn:
        raise HelpRequested(self.format_help().rstrip())


def _joined(words: Sequence[str]) -> list[str]:
    """*words*, with ``--sort -held_ms`` as one: `argparse` would take the column for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--sort":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return min(number, MOST) or MOST


def _page(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_count.__name__, _page.__name__ = "number of rows", "page"  # for the error messages of `argparse`
