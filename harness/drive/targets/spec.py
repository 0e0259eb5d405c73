"""What every kind of target comes down to: a command, and what the runner must know to treat it well."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...record.scenario import ReadyAfter, ReadyLog, ReadyPort


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """How to start, load, stop and audit one target."""

    command: tuple[str, ...]
    cwd: Path
    ready: ReadyLog | ReadyPort | ReadyAfter | None
    stop_signal: str
    stop_within_s: float
    env: dict[str, str] = field(default_factory=dict)
    sender: dict[str, object] = field(default_factory=dict)  # what its sender must know besides the scenario
    ledger_command: tuple[str, ...] = ()  # prints what became of every message, after the target ended
    remove_command: tuple[str, ...] = ()  # takes away what the run alone has used on a server
