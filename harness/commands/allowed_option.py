"""`--allow-new` and `--allow-missing`: what only one side has, and is no reason to fail."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..read.compare.paired.allowed import Allowed


def allowed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `allowed`."""

    @click.option(
        "--allow-new",
        multiple=True,
        metavar="NAME",
        help="A figure or benchmark that the base may lack; * is any text; repeatable.",
    )
    @click.option(
        "--allow-missing", multiple=True, metavar="NAME", help="The same for one that the head may lack."
    )
    @functools.wraps(command)
    def collected(
        *args: object, allow_new: tuple[str, ...], allow_missing: tuple[str, ...], **kwargs: object
    ) -> Any:
        return command(*args, allowed=Allowed(allow_new, allow_missing), **kwargs)

    return collected
