"""Groups of hosts that have agreed to be terminated now and then, and the terms: the ``[[groups]]`` tables.

Nothing happens to anybody by default. A group has to be *enabled*, and then is still on the leash: everything
is decided and logged, and nobody is terminated until *leashed* is false. Its hours are office hours, when
somebody is there to learn from it.
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
    """A part of the day; one that ends before it begins goes past midnight. Equal ends are the whole day."""

    start: time
    end: time

    def begun_on(self, local: datetime) -> datetime | None:
        """The day on which the hours began that are now, or none when it is another time of the day."""
        now = local.time()
        if self.start < self.end:
            return local if self.start <= now < self.end else None
        if now >= self.start:
            return local
        # Friday's night goes on until Saturday's morning.
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
    if value == "UTC":  # known without the time zone database, which small containers lack
        return UTC
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"expected a time zone this machine knows, like UTC or Europe/Stockholm, got {value!r}"
        ) from None


class HostGroup(BaseModel):
    """Hosts, and the terms on which one of them may be terminated. Names are patterns: ``host-[0-4]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(min_length=1)]
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    exclude: tuple[str, ...] = ()
    """Never these, whatever *hosts* says."""
    enabled: bool = False
    leashed: bool = True
    """Decide, log and count, but terminate nobody."""
    every_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60.0
    """How often the dice are thrown."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """That a throw finds a victim."""
    rest_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 3600.0
    """From one victim to the next at least, and from the start of the service to the first: it does not
    remember what it did before."""
    days: tuple[Day, ...] = DAYS[:5]
    hours: Annotated[Hours, BeforeValidator(_hours)] = Hours(time(9), time(17))
    timezone: Annotated[tzinfo, BeforeValidator(_zone)] = UTC
    """Of *days* and *hours*."""

    def eligible(self, names: Iterable[str]) -> list[str]:
        """Those of *names* that may be terminated, in order."""
        return sorted(
            name for name in names if _matches(name, self.hosts) and not _matches(name, self.exclude)
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_names(groups: Iterable[HostGroup]) -> None:
    """See that no two groups have the same name, which is what their history is known by.

    Raises:
        ValueError: Says which name.
    """
    seen: set[str] = set()
    for group in groups:
        if group.name in seen:
            raise ValueError(f"expected groups with names of their own, got {group.name!r} twice")
        seen.add(group.name)
