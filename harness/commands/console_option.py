"""`--console` and `--console-port`, which `run` and `watch` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def console_options(command: Command) -> Command:
    """Add both options."""
    flag = click.option("--console", is_flag=True, help="Open a console in it, an aiomonitor for telnet.")
    port = click.option(
        "--console-port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="The same, but not on any free port of loopback.",
    )
    return flag(port(command))


def asked_port(console: bool, console_port: int | None) -> int | None:
    """The port that is asked for, 0 for a free one, `None` for no console."""
    return console_port or (0 if console else None)
