"""Groups of hosts that the monkey may terminate, and the terms: the ``[[groups]]`` tables.

By default, nothing is terminated. A group must be *enabled*, and while it is *leashed* the monkey decides and
logs but does not act. The default hours are office hours, when people can respond.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the day. It spans midnight if it ends before it starts; equal ends mean the whole day."""

    start: time
    end: time

    def begun_on(self, local: datetime) -> datetime | None:
        """The day on which the current hours began, or None outside of the hours."""
        now = local.time()
        if self.start < self.end:
            return local if self.start <= now < self.end else None
        if now >= self.start:
            return local
        # Friday's night lasts until Saturday morning.
        return local - _ONE_DAY if now < self.end else None


def _hours(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        start, end = (datetime.strptime(part, "%H:%M").time() for part in value.split("-"))
    except ValueError:
        raise ValueError(f"expected hours like 09:00-17:00, got {value!r}") from None
    return Hours(start, end)


def _zone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value == "UTC":  # works without the time zone database, which small containers lack
        return UTC
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        expected = "a time zone this machine knows, like UTC or Europe/Stockholm"
        raise ValueError(f"expected {expected}, got {value!r}") from None


class HostGroup(BaseModel):
    """Hosts, and the terms on which one of them may be terminated. Names are patterns: ``host-[0-4]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(min_length=1)]
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    exclude: tuple[str, ...] = ()
    """Hosts to leave out of *hosts*."""
    enabled: bool = False
    leashed: bool = True
    """Decide, log and count, but do not terminate."""
    every_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60.0
    """Interval between throws of the dice."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability that a throw chooses a victim."""
    rest_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 3600.0
    """Minimum time between victims, and from the service's start to the first one, because its history is not
    kept across restarts."""
    days: tuple[Day, ...] = DAYS[:5]
    hours: Annotated[Hours, BeforeValidator(_hours)] = Hours(time(9), time(17))
    timezone: Annotated[tzinfo, BeforeValidator(_zone)] = UTC
    """The time zone of *days* and *hours*."""

    def eligible(self, names: Iterable[str]) -> list[str]:
        """The hosts among *names* that may be terminated, sorted."""
        return sorted(n for n in names if _matches(n, self.hosts) and not _matches(n, self.exclude))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def with_unique_names(groups: tuple[HostGroup, ...]) -> tuple[HostGroup, ...]:
    """Return *groups* if their names are unique, because a name identifies a group's history.

    Raises:
        ValueError: A name occurs twice.
    """
    seen: set[str] = set()
    for group in groups:
        if group.name in seen:
            raise ValueError(f"expected unique group names, got {group.name!r} twice")
        seen.add(group.name)
    return groups
