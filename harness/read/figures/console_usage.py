"""What the console was used for, and what it cost: of every process of the target that had one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import ConsoleAudited, ConsoleCounted, ConsoleOpened
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class ConsoleAccess:
    """Somebody came, was refused, or did something that is more than reading."""

    at_s: float
    pid: int
    client: str
    line: str  # "" for the connection itself
    outcome: str


@dataclass(frozen=True, slots=True)
class ConsoleUsage:
    """*cpu_ratio* is the share of the console's threads in the CPU time of its processes; null: not told."""

    connections: int
    refused: int
    commands: dict[str, int]  # by name, the most used first
    audited: tuple[ConsoleAccess, ...]
    unlisted: int  # audited, but beyond what is kept
    cpu_ratio: float | None

    @property
    def deeds(self) -> tuple[ConsoleAccess, ...]:
        """What was done, or refused to those who asked for it."""
        return tuple(event for event in self.audited if event.line)


def console_usage(history: History) -> ConsoleUsage | None:
    """The consoles of a run together; `None` without any."""
    if not history.of(ConsoleOpened):
        return None
    # Written again as it grows: of each process, the latest holds.
    counted = {event.pid: event for event in history.of(ConsoleCounted)}.values()
    commands = Counter[str]()
    for event in counted:
        commands.update(event.commands)
    process_ns = sum(event.process_cpu_ns for event in counted)
    return ConsoleUsage(
        connections=sum(event.connections for event in counted),
        refused=sum(event.refused for event in counted),
        commands=dict(commands.most_common()),
        audited=tuple(
            ConsoleAccess(
                seconds(history.since_start_ns(event.at_ns)),
                event.pid,
                event.client,
                event.line,
                event.outcome,
            )
            for event in history.of(ConsoleAudited)
        ),
        unlisted=sum(event.unlisted for event in counted),
        cpu_ratio=round(sum(event.cpu_ns for event in counted) / process_ns, 4) if process_ns else None,
    )
