"""The chaos monkey: terminates a random host from time to time.

`choice.py` decides which. The monkey publishes an ordinary restart event, and chooses a group's next victim
only once the last one is back.
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

# Poll interval, and the minimum interval of a group.
POLL_S = 1.0
# If another process handles the event, this one never learns that the host is back.
GIVE_UP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Underway:
    host: str
    since: datetime
    restarts: int  # restarts of that host before


class Monkey:
    """Checks the groups every second.

    Args:
        groups: The initial groups.
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
        """Replace the groups; those that remain keep their history."""
        self._groups = tuple(groups)

    async def run(self) -> NoReturn:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.poll()

    async def poll(self) -> None:
        """Decide for every group, and act.

        Raises:
            StorageBrokenError: The broker accepts no more messages.
        """
        now = self._now()
        self._forget_returned(now)
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
                    log.info("leashed: would terminate", extra={"group": group, "host": host})
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

    def _forget_returned(self, now: datetime) -> None:
        """Forget victims that are back, and victims that have been missing for too long."""
        for group, victim in list(self._underway.items()):
            after_s = (now - victim.since).total_seconds()
            extra = {"group": group, "host": victim.host, "after_s": after_s}
            if self._fleet.restarts(victim.host) > victim.restarts:
                log.info("back", extra=extra)
            elif now - victim.since > GIVE_UP:
                log.warning("not back in time", extra=extra)
            else:
                continue
            del self._underway[group]
