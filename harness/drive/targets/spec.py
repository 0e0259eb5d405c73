"""What the runner needs to know about any kind of target: its command, and how to handle it."""

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
    sender: dict[str, object] = field(default_factory=dict)  # parameters of its sender beyond the scenario
    ledger_command: tuple[str, ...] = ()  # prints what became of every message, after the target ended
    remove_command: tuple[str, ...] = ()  # removes what only this run used on a server
