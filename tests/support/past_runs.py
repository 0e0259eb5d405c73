"""Histories for tests: rows of runs that are made up, and the command that reads them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.commands.main import harness
from harness.runs import row
from harness.runs.row import HistoryRow

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
# What a figure is like from run to run, around 1.
NOISES: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda rng: 1 + 0.05 * rng.gauss(0, 1),
    "heavy tails": lambda rng: 1 + 0.05 * rng.gauss(0, 1) / max(0.1, abs(rng.gauss(0, 1))),
    "spikes": lambda rng: (1 + 0.05 * rng.gauss(0, 1)) * (4 if rng.random() < 0.08 else 1),
}


def run_row(number: int = 0, **cells: object) -> HistoryRow:
    """A run that passed, some hours after the one before."""
    known: dict[str, Any] = {
        "table": "runs",
        "id": f"20261101-{number:06}-shop-0",
        "started": (BEGAN + timedelta(hours=number)).isoformat(),
        "scenario": "shop",
        "outcome": "passed",
        "commit": f"{number:012x}",
        "dirty": False,
        "branch": "main",
        "host": "ci",
    }
    return row.checked({**known, **cells})


def noisy(count: int, *, noise: str = "normal", seed: int = 1, step_at: int | None = None) -> list[float]:
    """Figures around 20, and by a quarter more from the place *step_at* on."""
    rng = random.Random(seed)
    return [
        20 * NOISES[noise](rng) * (1.25 if step_at is not None and n >= step_at else 1) for n in range(count)
    ]


def series(values: Sequence[float], **cells: object) -> list[HistoryRow]:
    """A run for each value of `loop.lag_ms.p99`."""
    return [run_row(n, loop_lag_ms_p99=value, **cells) for n, value in enumerate(values)]


def runs(*arguments: object) -> Any:
    """Carry out `harness runs` in this process; its status, or the error that it ends with."""
    return harness.main(["runs", *map(str, arguments)], prog_name="harness", standalone_mode=False)
