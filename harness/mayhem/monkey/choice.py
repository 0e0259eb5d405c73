"""Decides which hosts are terminated now, and why the others are not. A pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from random import Random

from .host_group import DAYS, HostGroup


class SkipReason(StrEnum):
    """The reasons to skip a group, in the order in which they are checked."""

    DISABLED = "the group is not enabled"
    INTERVAL = "the next throw is not due"
    HOUR = "outside the group's hours"
    DAY = "outside the group's days"
    UNDERWAY = "its last victim is not back yet"
    RESTING = "too soon after its last victim, or after the start"
    NOBODY = "none of its hosts may be terminated"
    DICE = "the dice said no"


@dataclass(frozen=True, slots=True)
class Termination:
    """Terminate one host of the group, unless the group is leashed."""

    group: str
    host: str
    leashed: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Terminate no host of the group."""

    group: str
    why: SkipReason


Decision = Termination | Skipped


@dataclass(frozen=True, slots=True)
class ThrowHistory:
    """Earlier throws and victims. Times are timezone-aware, in UTC."""

    since: datetime  # the service's start; stands in for a group's missing last throw and last victim
    thrown_at: Mapping[str, datetime] = field(default_factory=dict)  # by group
    chosen_at: Mapping[str, datetime] = field(default_factory=dict)  # by group; also while leashed
    underway: Mapping[str, str] = field(default_factory=dict)  # group -> its victim that is not back yet

    def after(self, decisions: Iterable[Decision], now: datetime) -> ThrowHistory:
        """Return the history with these decisions added, except `underway`, which the monkey maintains."""
        thrown_at, chosen_at = dict(self.thrown_at), dict(self.chosen_at)
        for decision in decisions:
            match decision:
                case Skipped(_, SkipReason.DISABLED | SkipReason.INTERVAL):
                    continue
                case Termination(group):
                    chosen_at[group] = now
            thrown_at[decision.group] = now
        # Otherwise, a group would wait for a clock that was set back to catch up.
        return replace(
            self,
            since=min(self.since, now),
            thrown_at={group: min(at, now) for group, at in thrown_at.items()},
            chosen_at={group: min(at, now) for group, at in chosen_at.items()},
        )


def choose(
    groups: Sequence[HostGroup], names: Sequence[str], history: ThrowHistory, now: datetime, random: Random
) -> list[Decision]:
    """Decide for each group, in order: at most one victim each, and no host for two groups at once.

    Args:
        names: All hosts.
        now: In UTC.
    """
    taken = set(history.underway.values())
    decisions: list[Decision] = []
    for group in groups:
        decision = _decide(group, [n for n in group.eligible(names) if n not in taken], history, now, random)
        if isinstance(decision, Termination):
            taken.add(decision.host)
        decisions.append(decision)
    return decisions


def _decide(
    group: HostGroup, hosts: list[str], history: ThrowHistory, now: datetime, random: Random
) -> Decision:
    thrown_s = (now - history.thrown_at.get(group.name, history.since)).total_seconds()
    chosen_s = (now - history.chosen_at.get(group.name, history.since)).total_seconds()
    day = group.hours.begun_on(now.astimezone(group.timezone))
    match group:
        case _ if not group.enabled:
            why = SkipReason.DISABLED
        case _ if thrown_s < group.every_s:
            why = SkipReason.INTERVAL
        case _ if day is None:
            why = SkipReason.HOUR
        case _ if DAYS[day.weekday()] not in group.days:
            why = SkipReason.DAY
        case _ if group.name in history.underway:
            why = SkipReason.UNDERWAY
        case _ if chosen_s < group.rest_s:
            why = SkipReason.RESTING
        case _ if not hosts:
            why = SkipReason.NOBODY
        case _ if random.random() >= group.probability:
            why = SkipReason.DICE
        case _:
            return Termination(group.name, random.choice(hosts), group.leashed)
    return Skipped(group.name, why)
