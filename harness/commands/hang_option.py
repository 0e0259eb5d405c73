"""The options of `run` and `watch` for loops that hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from . import amount


def hang_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `hang_ms` and `hang_exit_s`, `None` if not given."""
    command = click.option(
        "--hang-exit",
        "hang_exit_s",
        type=amount.seconds(1),
        metavar="S",
        help="End a process whose loop does not come back for S seconds, after all its tasks are recorded.",
    )(command)
    return click.option(
        "--hang-ms",
        type=amount.milliseconds(),
        metavar="N",
        help="Tell of a loop turn while it lasts, from N ms on; 0: never.  [default: 1000]",
    )(command)
