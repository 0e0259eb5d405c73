"""The progress of a comparison on stderr: what is known so far, and how long it takes at most."""

from __future__ import annotations

from time import monotonic
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..drive.bench.session import BenchPace
from ..read.compare.decision import figure
from ..read.compare.paired.measure import MeasureGate
from ..read.compare.paired.trial import Trial

# Without a terminal, a line every few seconds is enough for a log.
QUIET_EVERY_S = 5.0


class PaceDisplay:
    """Shows how far a comparison is, unless it is to be *quiet*."""

    def __init__(self, *, within_s: float, quiet: bool) -> None:
        self._within_s = within_s
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._shown_s = monotonic()
        self._trial: Trial | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal and not self._quiet:
            self._live.stop()

    def know(self, trial: Trial) -> None:
        """Take what the pairs so far say."""
        self._trial = trial

    def tell(self, line: str) -> None:
        """Print a line above the progress."""
        if not self._quiet:
            self._console.print(Text(line), soft_wrap=True)

    def show(self, pace: BenchPace) -> None:
        """Show how far it is."""
        if self._quiet:
            return
        line = self._line(pace)
        if self._console.is_terminal:
            self._live.update(line, refresh=True)
        elif monotonic() >= self._shown_s + QUIET_EVERY_S:
            self._shown_s = monotonic()
            self._console.print(line, soft_wrap=True)

    def _line(self, pace: BenchPace) -> Text:
        trial = self._trial
        if trial is None or pace.pair_s is None:
            return Text(f"{pace.runs} runs  {pace.elapsed_s:.0f} s  warming up")
        left_s = (trial.most - pace.pairs) * pace.pair_s
        left_s = min(left_s, max(0.0, self._within_s - pace.elapsed_s))
        known = [one for one in trial.judged if one.gate == MeasureGate.DECIDES and one.change is not None]
        return Text.assemble(
            (f"{pace.pairs} pairs", "bold"),
            f" of {trial.wanted or pace.pairs}, at most {trial.most}  ",
            f"{pace.elapsed_s:.0f} s, at most {left_s:.0f} s more  ",
            ("  ".join(f"{one.name} {figure.change(one)} ({figure.interval(one)})" for one in known), "cyan"),
            no_wrap=True,
            overflow="ellipsis",
        )
