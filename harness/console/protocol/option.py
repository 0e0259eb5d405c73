"""The options of a line: `argparse` without its exits, and what every command of the console has."""

from __future__ import annotations

import functools
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Sequence
from typing import NoReturn

from .command import Command
from .errors import OptionError

LIMIT = 20
# A table that a person asks for by ``--limit 0``, and the most that any client gets at once.
MOST = 10_000
# More than there are commands; a client's width changes only how a page of help is laid out.
PARSERS = 64


class HelpAsked(Exception):  # noqa: N818  # no error: the way out of `argparse`
    """The line asks for help; the message is it."""


def parse(command: Command, words: Sequence[str], *, columns: int) -> Namespace:
    """The options in *words*.

    Raises:
        OptionError: They are wrong.
        HelpAsked: They are ``--help``.
    """
    return parser(command, columns=columns).parse_args(_joined(words))


# Not made for each line: the dozens of objects of a parser refer to each other, and stay until the collector
# looks at them. A service that has it look seldom grew by megabytes between two looks.
@functools.lru_cache(PARSERS)
def parser(command: Command, *, columns: int) -> ArgumentParser:
    """The parser of one command's options."""
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
        "--limit", type=_count, default=LIMIT, metavar="N", help=f"rows at once, 0 for all [{LIMIT}]"
    )
    table.add_argument("--page", type=_page, default=1, metavar="N", help="the N-th so many rows")
    table.add_argument("--filter", default="", metavar="TEXT", help="rows with TEXT, or with COLUMN=TEXT")
    table.add_argument("--sort", default="", metavar="COLUMN", help="by a column, -COLUMN: largest first")
    return made


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{self.prog}: {message}; help {self.prog} tells more")

    def print_help(self, file: object = None) -> NoReturn:
        raise HelpAsked(self.format_help().rstrip())


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


_count.__name__, _page.__name__ = "number of rows", "page"  # as `argparse` words its errors
