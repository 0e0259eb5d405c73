"""`--history`: which history `runs` and its sub-commands are about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..runs.location import OFF, VARIABLE, place


def history_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option; the command gets the place of the history as `where`."""

    @click.option(
        "--history",
        "named",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"Its folder or database, as {VARIABLE} names it.  [default: reports]",
    )
    @functools.wraps(command)
    def located(*args: object, named: Path | None, **kwargs: object) -> Any:
        context = click.get_current_context()
        # Given to `runs`, it also holds for `import` and `export`.
        named = named or context.obj
        context.obj = named
        if (where := place(named)) is None:
            raise UsageError(f"the history is off: {VARIABLE}={OFF}")
        return command(*args, where=where, **kwargs)

    return located
