"""The chaos monkey: terminates a host now and then, and minds its manners.

What it decides is in `victims.py`. It terminates nothing itself: it publishes a restart event, which travels
as everybody else's do, and it waits for its victim to be back before it looks for the group's next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NoReturn

from ..errors import StorageUnavailableError
from ..fleet import Fleet
from ..message import RestartEvent
from ..messages.publisher import publish
from ..operations.metrics import record_termination
from ..ports import PublishPort
from .choice import Skipped, SkipReason, Termination, ThrowHistory, choose
from .host_group import HostGroup

log = logging.getLogger(__name__)

# The least interval a group may have.
POLL_S = 1.0
# Another process may have taken the event, and then nobody here hears of its end.
GIVE_UP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Underway:
    host: str
    since: datetime
    restarts: int  # of that host, before


class Monkey:
    """Looks every second whether a group's time has come.

    Args:
        groups: Which may be changed later.
        now: The wall clock, in UTC.
    """

    def __init__(
        self,
        broker: PublishPort,
        fleet: Fleet,
        groups: Sequence[HostGroup],
        *,
        seed: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._fleet = fleet
        self._groups = tuple(groups)
        self._now = now
        self._random = Random(f"{seed}/monkey")
        self._history = ThrowHistory(since=now())
        self._underway: dict[str, _Underway] = {}  # by group

    def change(self, groups: Sequence[HostGroup]) -> None:
        """Go by these groups from now on. What is known of those that remain stays known."""
        self._groups = tuple(groups)

    async def run(self) -> NoReturn:
        """Look and act until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.poll()

    async def poll(self) -> None:
        """One round: decide about every group, and carry it out.

        Raises:
            StorageBrokenError: The broker takes no more messages.
        """
        now = self._now()
        self._welcome_back(now)
        underway = {group: victim.host for group, victim in self._underway.items()}
        history = replace(self._history, underway=underway)
        decisions = choose(self._groups, self._fleet.names, history, now, self._random)
        self._history = history.after(decisions, now)
        for decision in decisions:
            match decision:
                case Skipped(_, SkipReason.INTERVAL):
                    pass
                case Skipped(group, why):
                    log.debug("spared: %s", why, extra={"group": group})
                case Termination(group, host, leashed=True):
                    log.info("leashed, else terminating", extra={"group": group, "host": host})
                    record_termination(group, "leashed")
                case Termination(group, host):
                    await self._terminate(group, host, now)

    async def _terminate(self, group: str, host: str, now: datetime) -> None:
        log.info("terminating", extra={"group": group, "host": host})
        self._underway[group] = _Underway(host, now, self._fleet.restarts(host))
        try:
            await publish(self._broker, RestartEvent(host))
        except StorageUnavailableError:
            del self._underway[group]
            record_termination(group, "failed")
            log.warning("not terminated", extra={"group": group, "host": host}, exc_info=True)
        else:
            record_termination(group, "terminated")

    def _welcome_back(self, now: datetime) -> None:
        """Forget the victims that are back, and those that nobody hears of any more."""
        for group, victim in list(self._underway.items()):
            after_s = (now - victim.since).total_seconds()
            extra = {"group": group, "host": victim.host, "after_s": after_s}
            if self._fleet.restarts(victim.host) > victim.restarts:
                log.info("back", extra=extra)
            elif now - victim.since > GIVE_UP:
                log.warning("not heard of again", extra=extra)
            else:
                continue
            del self._underway[group]
