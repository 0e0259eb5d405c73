"""Who had to wait because a loop was late; looked at only then, so a healthy loop pays nothing."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle
from itertools import islice
from typing import Any

from ..record.event import Victim
from . import tasks

# Looking at more waiting callbacks than this would itself be a block.
LOOKED_AT = 1_000
# A report shows the worst; the rest is counted.
NAMED = 100


class Waiting:
    """The callbacks that were seen waiting during one stall, each with the time it waits since."""

    def __init__(self) -> None:
        self._since_ns: dict[int, tuple[Handle, int]] = {}

    def look(self, loop: AbstractEventLoop, since_ns: int) -> None:
        """Remember who is in the ready queue and was not seen before: they wait since *since_ns*."""
        ready: Any = getattr(loop, "_ready", ())  # other loops than asyncio's own keep it to themselves
        for handle in tuple(ready)[-LOOKED_AT:]:
            self._since_ns.setdefault(id(handle), (handle, since_ns))

    def look_at_timers(self, loop: AbstractEventLoop, now_ns: int) -> None:
        """Remember the timers that are due and have not been run: they wait since their own time.

        On the loop's thread only: elsewhere the schedule may change under the look.
        """
        for handle in islice(getattr(loop, "_scheduled", ()), LOOKED_AT):
            due_ns = int(handle._when * 1e9)  # the loop's clock is `time.monotonic`
            if due_ns <= now_ns:
                self._since_ns.setdefault(id(handle), (handle, due_ns))

    def victims(self, began_ns: int, ended_ns: int, *, least_ns: int) -> tuple[tuple[Victim, ...], int]:
        """Those who waited at least *least_ns* of that time, worst first; and how many there were.

        Tasks come before plain callbacks, of which each kind is named once: ten thousand callbacks that
        wait for each other must not hide the one request that waited for all of them.
        """
        waits = [(ended_ns - max(since, began_ns), handle) for handle, since in self._since_ns.values()]
        late = [(wait, handle) for wait, handle in waits if wait >= least_ns and not handle.cancelled()]
        late.sort(key=lambda pair: pair[0], reverse=True)
        of_tasks: list[Victim] = []
        of_callbacks: dict[str, Victim] = {}
        for delayed_ns, handle in late:
            who = tasks.of_handle(handle)
            victim = Victim(who.task, who.span, who.trace_id, delayed_ns)
            if who.coroutine:
                of_tasks.append(victim)
            else:
                of_callbacks.setdefault(who.task, victim)
        return (*of_tasks, *of_callbacks.values())[:NAMED], len(late)
