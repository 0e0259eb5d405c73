"""Writes results to stdout, and messages to stderr.

A reader that has left, as in `harness report RUN | head -1`, is no error: the rest is discarded, and the exit
status stays that of the run. A full disk behind a redirect is one.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import click

from ..errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console


def write(content: str | bytes, *, err: bool = False) -> None:
    """Write to stdout, or with *err* to stderr, where nothing can be done about errors.

    Raises:
        OutputError: stdout cannot be written.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        # Colours are decided before, and text of the program never has escape sequences.
        click.echo(content, nl=False, err=err, color=True)
        stream.flush()
    except BrokenPipeError:
        discard(stream)
    except OSError as exc:
        discard(stream)
        if not err:
            raise OutputError(f"standard output: cannot be written: {exc.strerror}") from exc


def draw(show: Callable[[Console], None], *, err: bool = False, colours: bool = True) -> None:
    """Write what *show* prints on a console, as `write` does; rich alone would end the process with 1.

    Raises:
        OutputError: stdout cannot be written.
    """
    from rich.console import Console  # only for what is drawn: it takes a while to load

    real, text = Console(stderr=err), io.StringIO()
    system: Any = real.color_system if colours else None
    show(Console(file=text, width=real.width, force_terminal=real.is_terminal, color_system=system))
    write(text.getvalue(), err=err)


def flush() -> None:
    """Write what is left in the buffer of stdout, so that an error is not met only at the exit.

    Raises:
        OutputError: It cannot be written.
    """
    write("")


def discard(stream: IO[Any]) -> None:
    """Send what is left in the buffer of *stream*, and all that follows, nowhere."""
    with suppress(OSError, io.UnsupportedOperation):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
