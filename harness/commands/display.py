"""Live progress on stderr: one line that is updated on a terminal, or a new line every few seconds."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..drive.progress import Progress
from ..record.run_folder import RunFolder
from .results import discard

# Without a terminal, a line every few seconds is enough for a log.
QUIET_EVERY_S = 5.0


class Patience:
    """Says on stderr that a large record is being read, as long as that takes."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._done = threading.Event()
        self._began_s = monotonic()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        # A reader of stderr that takes nothing must not keep the command.
        self._thread.join(timeout=1)

    def _talk(self) -> None:
        while not self._done.wait(QUIET_EVERY_S):
            with suppress(OSError, ValueError):  # stderr is full, or closed
                size = sum(path.stat().st_size for path in self._folder.events.glob("*.jsonl"))
                took_s = monotonic() - self._began_s
                click.echo(f"reading the record, {size / 1e6:,.0f} MB: {took_s:.0f} s", err=True)


class _LastingConsole(Console):
    """Writes no more when its reader has left; rich would end the process, and with it the run."""

    def on_broken_pipe(self) -> None:
        """See above."""
        discard(sys.stderr)


class Display:
    """Shows the progress of one run, unless it is to be *quiet*."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self._name = name
        self._quiet = quiet
        self._console = _LastingConsole(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._shown_s = -QUIET_EVERY_S

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, line: str) -> None:
        """Print a line above the progress; in any thread."""
        with suppress(OSError):  # a full disk behind stderr ends no run
            self._console.print(Text(line, style="bold red"), soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Show the new progress."""
        with suppress(OSError):
            self._show(progress)

    def _show(self, progress: Progress) -> None:
        for console in progress.consoles:
            self._console.print(Text.assemble("console: ", (console, "bold")), soft_wrap=True)
        if self._quiet:
            return
        line = self._line(progress)
        if self._console.is_terminal:
            self._live.update(line, refresh=True)
        elif progress.at_s >= self._shown_s + QUIET_EVERY_S:
            self._shown_s = progress.at_s
            self._console.print(line, soft_wrap=True)

    def _line(self, now: Progress) -> Text:
        load = f"done {now.completed:,}/{now.sent:,}  {now.rate_per_s:,.0f}/s  " if now.sent else ""
        p99 = "" if now.p99_ms is None else f"p99 {now.p99_ms:,.0f} ms  "
        return Text.assemble(
            (f"{self._name} {now.at_s:.1f} s  ", "bold"),
            (f"{now.phase}  ", "cyan"),
            f"{load}{p99}lag {now.lag_ms:,.0f} ms  ",
            (f"blocks {now.blocks}", "red" if now.blocks else "green"),
            (f"  failed {now.failed:,}", "yellow") if now.failed else "",
            # A line that wraps cannot be updated in place.
            no_wrap=True,
            overflow="ellipsis",
        )
