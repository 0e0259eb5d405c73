"""How an error ends a command: as one clear message and the exit status of its class, never a traceback.

A bug in the harness is one line, too; `harness --debug` or `HARNESS_DEBUG=1` shows where it happened.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from ..errors import HarnessError
from . import results

DEBUG = "HARNESS_DEBUG"
# Nothing can be judged: as for an invalid measurement.
_BUG = 3
_INTERRUPTED = 130


class TerminatedError(BaseException):
    """SIGTERM came while a report was being made."""


@dataclass(slots=True)
class Contained:
    """What became of a guarded part: the exit status of the error that ended it, or 0."""

    status: int = 0


def tell(exc: BaseException) -> int:
    """Print what *exc* means, with its notes, and return the exit status to end with."""
    # click takes the end of any input for a Ctrl-C. Where its end is expected, it has been caught before.
    if isinstance(exc, click.Abort) and isinstance(exc.__cause__, EOFError):
        exc = exc.__cause__
    notes = tuple(getattr(exc, "__notes__", ()))
    match exc:
        case HarnessError():
            return _say(str(exc), notes, status=exc.exit_code)
        case click.exceptions.NoArgsIsHelpError():
            results.write(f"{exc.format_message()}\n", err=True)
            return exc.exit_code
        case click.UsageError():
            return _say(*_usage(exc), status=2)
        case click.ClickException():
            return _say(exc.format_message(), notes, status=exc.exit_code)
        case click.Abort() | KeyboardInterrupt():
            return _INTERRUPTED
        case TerminatedError():
            results.discard(sys.stdout)  # a reader that does not read must not keep the process
            message = "stopped by SIGTERM before the report was complete"
            return _say(message, notes, status=128 + signal.SIGTERM)
        case BrokenPipeError():
            results.discard(sys.stdout)  # whoever read it has seen enough
            return 0
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            results.discard(sys.stdout)
            return _say(
                f"{exc.filename or 'the output'}: cannot be written: {exc.strerror}", notes, status=_BUG
            )
    if os.environ.get(DEBUG):
        traceback.print_exception(exc)
    frame = traceback.extract_tb(exc.__traceback__)[-1:]
    where = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
    hint = f"{DEBUG}=1 shows the traceback, which helps in a bug report."
    return _say(f"internal error: {type(exc).__name__}: {exc}{where}", (*notes, hint), status=_BUG)


@contextmanager
def contained(record: Path) -> Iterator[Contained]:
    """Tell any error of the block, which judges the run in *record*, and go on after it."""
    result = Contained()
    try:
        with judging(record):
            yield result
    except (Exception, TerminatedError, KeyboardInterrupt) as exc:
        result.status = tell(exc)


@contextmanager
def judging(record: Path) -> Iterator[None]:
    """For a block that reads the run in *record*: errors name it, and SIGTERM is one of them.

    Raises:
        TerminatedError: SIGTERM came.
    """

    def terminated(number: int, frame: FrameType | None) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        with naming(record):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def naming(record: Path) -> Iterator[None]:
    """Add to an error that is not raised on purpose where the record of the run is."""
    try:
        yield
    except (HarnessError, BrokenPipeError):
        raise
    except BaseException as exc:
        exc.add_note(f"The record is kept: harness report {record}")
        raise


def _say(message: str, notes: Iterable[str], *, status: int) -> int:
    lines = [f"harness: {message}", *(f"  {note}" for note in notes)]
    results.write("\n".join(lines) + "\n", err=True)
    return status


def _usage(exc: click.UsageError) -> tuple[str, tuple[str, ...]]:
    """click's message in the words of ours, and where help is."""
    text = exc.format_message().rstrip(".")
    text = re.sub(
        r"'([^']*)' is not a valid (?:float|integer)(?: range)?", r"expected a number, got '\1'", text
    )
    in_range = r"(\S+) is not in the range (\S*)x(\S*)"
    text = re.sub(in_range, r"expected a number N with \2N\3, got \1", text)
    command = exc.ctx.command_path if exc.ctx is not None else "harness"
    return text[:1].lower() + text[1:], (f"For help: {command} --help",)
