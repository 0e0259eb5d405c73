"""Live progress on stderr: one line that is updated on a terminal, or a new line every few seconds."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..drive.progress import Progress

# Without a terminal, a line every few seconds is enough for a log.
QUIET_EVERY_S = 5.0


class Display:
    """Shows the progress of one run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._shown_s = -QUIET_EVERY_S

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show the new progress."""
        for console in progress.consoles:
            self._console.print(Text.assemble("console: ", (console, "bold")), soft_wrap=True)
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
