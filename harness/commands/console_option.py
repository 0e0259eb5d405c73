"""`--console`, `--console-port` and `--allow`, which `run` and `watch` share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..errors import UsageError
from ..record.probe_config import PERMISSIONS, ConsoleConfig

allow_option = click.option(
    "--allow",
    metavar="LIST",
    help=f"What the console may do beyond reading, separated by commas: {','.join(PERMISSIONS)}.",
)


def console_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `console`, which is None without a console."""

    @click.option("--console", is_flag=True, help="Open a console in each process, for `harness attach`.")
    @click.option(
        "--console-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Like --console, and also serve telnet on this loopback port, with a token.  [0: any free]",
    )
    @allow_option
    @functools.wraps(command)
    def collected(
        *args: object, console: bool, console_port: int | None, allow: str | None, **kwargs: object
    ) -> Any:
        may = permissions(allow)
        is_open = console or console_port is not None
        if may and not is_open:
            raise UsageError("--allow needs --console")
        config = ConsoleConfig(console_port, may) if is_open else None
        return command(*args, console=config, **kwargs)

    return collected


def permissions(text: str | None) -> tuple[str, ...]:
    """The permissions in the value of `--allow`.

    Raises:
        UsageError: One of them is unknown.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in PERMISSIONS:
            raise UsageError(f"--allow: expected one of {', '.join(PERMISSIONS)}, got {name!r}")
    return tuple(dict.fromkeys(names))
