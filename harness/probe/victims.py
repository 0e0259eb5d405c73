"""Who had to wait because a turn was late; looked at only then, so a healthy loop pays nothing."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle
from itertools import islice
from typing import Any

from ..record.event import Victim
from . import tasks

# Looking at more than this many waiting callbacks would itself be a block.
LOOKED_AT = 2_000
# A report shows the worst; the rest is counted.
NAMED = 100


class Waiting:
    """The callbacks seen in the ready queue while one turn lasted, each with the time it waits since."""

    def __init__(self) -> None:
        self._since_ns: dict[int, tuple[Handle, int]] = {}

    def look(self, loop: AbstractEventLoop, since_ns: int) -> None:
        """Remember who is in the ready queue and was not seen before: they wait since *since_ns*."""
        ready: Any = getattr(loop, "_ready", None)
        if ready is None:  # not asyncio's own loop
            return
        for handle in islice(tuple(ready), LOOKED_AT):
            self._since_ns.setdefault(id(handle), (handle, since_ns))

    def victims(
        self, loop: AbstractEventLoop, *, began_ns: int, ended_ns: int, least_ns: int
    ) -> tuple[tuple[Victim, ...], int]:
        """Those who waited at least *least_ns*, worst first, at most `NAMED`; and how many there were.

        Called on the loop's thread right after the turn, before the callbacks that wait are run. Timers
        that came due meanwhile are read from the loop's schedule, with their exact lateness.
        """
        waits = [(ended_ns - since, handle) for handle, since in self._since_ns.values()]
        # The loop's clock is `time.monotonic`, in seconds.
        waits += [
            (ended_ns - max(int(handle._when * 1e9), began_ns), handle)
            for handle in islice(getattr(loop, "_scheduled", ()), LOOKED_AT)
            if handle._when * 1e9 <= ended_ns
        ]
        late = [(wait, handle) for wait, handle in waits if wait >= least_ns and not handle.cancelled()]
        late.sort(key=lambda pair: pair[0], reverse=True)
        return tuple(_victim(wait, handle) for wait, handle in late[:NAMED]), len(late)


def _victim(delayed_ns: int, handle: Handle) -> Victim:
    who = tasks.of_handle(handle)
    return Victim(label=who.task, span=who.span, trace_id=who.trace_id, delayed_ns=delayed_ns)
