"""`--quiet`, `--verbose`, `--no-color` and `--open`: how `run`, `watch` and `report` show their results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class DisplayAsked:
    """The values of the options."""

    quiet: bool
    verbose: bool
    colours: bool
    opens: bool

    def show(self, page: Path) -> None:
        """Open the page in a browser, if that is asked for."""
        if self.opens:
            import webbrowser  # only where a browser is asked for

            webbrowser.open(page.resolve().as_uri())


def display_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `display`."""

    @click.option("-q", "--quiet", is_flag=True, help="Show the verdict only, and no progress.")
    @click.option("-v", "--verbose", is_flag=True, help="Show every row and finding, not the first few.")
    @click.option("--no-color", is_flag=True, help="Show plain text, as the variable NO_COLOR does.")
    @click.option("--open", "opens", is_flag=True, help="Open report.html in a browser.")
    @functools.wraps(command)
    def collected(
        *args: object, quiet: bool, verbose: bool, no_color: bool, opens: bool, **kwargs: object
    ) -> Any:
        if quiet and verbose:
            raise UsageError("--quiet and --verbose contradict each other")
        return command(*args, display=DisplayAsked(quiet, verbose, not no_color, opens), **kwargs)

    return collected
