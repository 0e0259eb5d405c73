"""The use and the cost of the consoles of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import ConsoleAudited, ConsoleCounted, ConsoleOpened
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class ConsoleAccess:
    """A connection, a refusal, or a command that does more than read."""

    at_s: float
    pid: int
    client: str
    line: str  # "" for the connection itself
    outcome: str


@dataclass(frozen=True, slots=True)
class ConsoleUsage:
    """*cpu_ratio* is the share of the console's threads in the CPU time of their processes; null: unknown."""

    connections: int
    refused: int
    commands: dict[str, int]  # how often each was used, most used first
    audited: tuple[ConsoleAccess, ...]
    unlisted: int  # beyond the bound on *audited*
    cpu_ratio: float | None

    @property
    def actions(self) -> tuple[ConsoleAccess, ...]:
        """The commands among them, carried out or refused."""
        return tuple(event for event in self.audited if event.line)


def console_usage(history: History) -> ConsoleUsage | None:
    """All consoles of a run together; `None` if none was opened."""
    if not history.of(ConsoleOpened):
        return None
    # The counts are cumulative, so the latest event of each process has the final ones.
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
            ConsoleAccess(seconds(history.since_start_ns(e.at_ns)), e.pid, e.client, e.line, e.outcome)
            for e in history.of(ConsoleAudited)
        ),
        unlisted=sum(event.unlisted for event in counted),
        cpu_ratio=round(sum(event.cpu_ns for event in counted) / process_ns, 4) if process_ns else None,
    )
