"""Who had to wait because a loop was late; looked at only then, so a healthy loop pays nothing."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle, Task
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from selectors import EVENT_READ, SelectorKey
from typing import Any, NamedTuple

from ...record.observation import DelayedStep, QueuedCallbacks
from ..hooks import loop_state
from ..tasks import identity

# Looking at more waiting callbacks than this would itself be a block.
LOOKED_AT = 1_000
# A report shows the worst; the rest is counted.
NAMED = 100
# With fewer callbacks in the queue the one that runs is the news, and not their number.
LONG_QUEUE = 20
KINDS = 5


def kinds_of(queue: Sequence[Handle]) -> tuple[QueuedCallbacks, ...]:
    """What a long ready queue is made of: the most frequent kinds. Evenly spaced ones stand for all."""
    if len(queue) < LONG_QUEUE:
        return ()
    stride = -(-len(queue) // LOOKED_AT)
    counts = Counter(identity.kind_of(handle) for handle in queue[::stride])
    return tuple(QueuedCallbacks(kind, count * stride) for kind, count in counts.most_common(KINDS))


class _Delayed(NamedTuple):
    handle: Handle
    task: Task[Any] | None  # known only while it waits: a future forgets whom it resumed
    since_ns: int
    at_most: bool  # it waits since some later time


class DelayedCallbacks:
    """The callbacks that were seen waiting during one stall, each with the time it waits since."""

    def __init__(self) -> None:
        self._seen: dict[int, _Delayed] = {}

    def look(self, loop: AbstractEventLoop, since_ns: int) -> None:
        """Remember who is in the ready queue and was not seen before: they wait since *since_ns*."""
        for handle in tuple(loop_state.ready(loop))[-LOOKED_AT:]:
            if not loop_state.is_housekeeping(handle, loop):
                self._remember(handle, since_ns)

    def look_at_timers(self, loop: AbstractEventLoop, now_ns: int) -> None:
        """Remember the timers that are due and have not been run: they wait since their own time.

        On the loop's thread only: elsewhere the schedule may change under the look.
        """
        for handle in islice(loop_state.timers(loop), LOOKED_AT):
            due_ns = int(handle.when() * 1e9)  # the loop's clock is `time.monotonic`
            if due_ns <= now_ns:
                self._remember(handle, due_ns)

    def look_at_files(self, ready: Sequence[tuple[SelectorKey, int]], since_ns: int) -> None:
        """Remember who is to be called for the files that are *ready*: they wait since *since_ns* at most.

        When a file became ready, nobody knows: the loop had no time to ask.
        """
        for key, events in ready[:LOOKED_AT]:
            handles = key.data if isinstance(key.data, tuple) else ()
            for event, handle in enumerate(handles, start=EVENT_READ):  # asyncio's (reader, writer)
                if handle is not None and events & event and not loop_state.wakes_loop(handle):
                    self._remember(handle, since_ns, at_most=True)

    def _remember(self, handle: Handle, since_ns: int, *, at_most: bool = False) -> None:
        if id(handle) not in self._seen:
            self._seen[id(handle)] = _Delayed(handle, identity.behind(handle), since_ns, at_most)

    def victims(self, began_ns: int, ended_ns: int, *, least_ns: int) -> tuple[tuple[DelayedStep, ...], int]:
        """Those who waited at least *least_ns* of that time, worst first; and how many there were.

        Those whose wait is known come before those of whom only its bound is, and tasks before plain
        callbacks, of which each kind is named once: ten thousand callbacks that wait for each other must not
        hide the one request that waited for all of them.
        """
        waits = [(ended_ns - max(seen.since_ns, began_ns), seen) for seen in self._seen.values()]
        late = [(wait, seen) for wait, seen in waits if wait >= least_ns and not seen.handle.cancelled()]
        late.sort(key=lambda pair: (pair[1].at_most, -pair[0]))
        of_tasks: list[DelayedStep] = []
        of_callbacks: dict[str, DelayedStep] = {}
        for delayed_ns, seen in late:
            if len(of_tasks) == NAMED:
                break  # nobody further on is named, and the loop waits for this
            if seen.task:
                who = identity.of_task(seen.task)
            else:
                who = identity.of_file(seen.handle) if seen.at_most else identity.of_callback(seen.handle)
            victim = DelayedStep(who.task, who.span, who.trace_id, delayed_ns, seen.at_most)
            if seen.task:
                of_tasks.append(victim)
            else:
                of_callbacks.setdefault(who.task, victim)
        return (*of_tasks, *of_callbacks.values())[:NAMED], len(late)
