"""Finds the callbacks that a late loop delayed; nothing is done while the loop is on time."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle, Task
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from selectors import EVENT_READ, SelectorKey
from typing import TYPE_CHECKING, Any

from ...record.observation import DelayedStep, QueuedCallbacks
from ...record.value import Row
from ..hooks.state import loop_state
from ..tasks import identity
from ..tasks.identity import Identity

if TYPE_CHECKING:
    from .waiting_file import WaitingFile

# Scanning more waiting callbacks than this would itself be a block.
MOST_CALLBACKS = 1_000
# Asking a timer for its time is quicker than finding out what it would resume.
MOST_TIMERS = 10_000
# A report names the most delayed ones; the others are counted.
NAMED = 100
# In a shorter queue, the callback that runs is the cause, not the number of callbacks.
LONG_QUEUE = 20
KINDS = 5


def kinds_of(queue: Sequence[Handle]) -> tuple[QueuedCallbacks, ...]:
    """The most frequent kinds of callbacks in a long ready queue, estimated from an evenly spaced sample."""
    if len(queue) < LONG_QUEUE:
        return ()
    stride = -(-len(queue) // MOST_CALLBACKS)
    counts = Counter(identity.kind_of(handle) for handle in queue[::stride])
    return tuple(QueuedCallbacks(kind, count * stride) for kind, count in counts.most_common(KINDS))


class _Delayed(Row):
    handle: Handle | None
    task: Task[Any] | None  # found while waiting: a future forgets the task that it resumes
    since_ns: int
    at_most: bool  # the wait began at this time or later
    who: Identity | None = None  # if it cannot be asked for later

    def is_cancelled(self) -> bool:
        # A handle of uvloop that has run, and is known only from before, cannot be told from a cancelled one.
        return self.who is None and self.handle is not None and self.handle.cancelled()

    def named(self) -> Identity:
        if self.task is not None:
            return identity.of_task(self.task)
        if self.who is not None or self.handle is None:
            return self.who or Identity()
        return identity.of_file(self.handle) if self.at_most else identity.of_callback(self.handle)


class DelayedCallbacks:
    """The callbacks found waiting during one stall, and since when each has waited."""

    def __init__(self) -> None:
        self._seen: dict[int, _Delayed] = {}
        self._files: dict[int, _Delayed] = {}  # by descriptor, where no handle is known
        self._further: set[int] = set()  # due timers that are only counted
        self._polled_ns = 0  # when the files were last looked at

    def scan_ready(self, loop: AbstractEventLoop, since_ns: int) -> None:
        """Add the callbacks in the ready queue that are not known yet, as waiting since *since_ns*."""
        # New ones are at its end.
        for handle in islice(reversed(loop_state.ready_now(loop)), MOST_CALLBACKS):
            if id(handle) in self._seen:
                break
            if not loop_state.is_housekeeping(handle, loop):
                self._remember(handle, since_ns)

    def scan_timers(self, loop: AbstractEventLoop, now_ns: int) -> None:
        """Add the timers that are due and have not run, as waiting since their own time."""
        # A slice is one step of the interpreter: on another thread the heap may change during the scan.
        for handle in loop_state.timers(loop)[:MOST_TIMERS]:
            # The loop's clock is `time.monotonic`. A timer may be due never, or always: both are infinite.
            if (due_s := handle.when()) * 1e9 <= now_ns:
                if len(self._seen) >= MOST_CALLBACKS and id(handle) not in self._seen:
                    self._further.add(id(handle))
                    continue
                self._remember(handle, int(max(0.0, due_s) * 1e9))

    def scan_files(self, ready: Sequence[tuple[SelectorKey, int]], since_ns: int, now_ns: int) -> None:
        """Add the callbacks for the files that are *ready* at *now_ns*, as waiting since *since_ns* or later.

        It is not known when a file became ready, only that it was not yet at the scan before.
        """
        since_ns, self._polled_ns = max(since_ns, self._polled_ns), now_ns
        for key, events in ready[:MOST_CALLBACKS]:
            handles = key.data if isinstance(key.data, tuple) else ()
            for event, handle in enumerate(handles, start=EVENT_READ):  # asyncio's (reader, writer)
                if handle is not None and events & event and not loop_state.wakes_loop(handle):
                    self._remember(handle, since_ns, at_most=True)

    def scan_waiting(self, ready: Sequence[WaitingFile], since_ns: int, now_ns: int) -> None:
        """As `scan_files`, for a loop that shows only the files, not their callbacks."""
        since_ns, self._polled_ns = max(since_ns, self._polled_ns), now_ns
        for file in ready:
            if file.descriptor not in self._files:
                who = Identity(task=file.label)
                self._files[file.descriptor] = _Delayed(None, file.task, since_ns, True, who)

    def _remember(self, handle: Handle, since_ns: int, *, at_most: bool = False) -> None:
        if id(handle) in self._seen:
            return
        task, who = identity.behind(handle), None
        if loop_state.forgets(handle):
            if handle.cancelled():
                return
            who = identity.of_callback(handle) if task is None else Identity()
        self._seen[id(handle)] = _Delayed(handle, task, since_ns, at_most, who)

    def victims(self, began_ns: int, ended_ns: int, *, least_ns: int) -> tuple[tuple[DelayedStep, ...], int]:
        """The callbacks that waited at least *least_ns* of that time, most delayed first, and their number.

        Tasks come before plain callbacks, and known waits before those with only an upper bound. Each kind of
        plain callback is named once, so that ten thousand callbacks do not hide the one request that waited
        for all of them.
        """
        found = (*tuple(self._seen.values()), *tuple(self._files.values()))
        waits = [(ended_ns - max(seen.since_ns, began_ns), seen) for seen in found]
        late = [(wait, seen) for wait, seen in waits if wait >= least_ns and not seen.is_cancelled()]
        late.sort(key=lambda pair: (pair[1].at_most, -pair[0]))
        of_tasks: list[DelayedStep] = []
        of_callbacks: dict[str, DelayedStep] = {}
        for delayed_ns, seen in late:
            if len(of_tasks) == NAMED:
                break  # no others are named, and the loop is waiting
            who = seen.named()
            victim = DelayedStep(who.task, who.span, who.trace_id, delayed_ns, seen.at_most)
            if seen.task:
                of_tasks.append(victim)
            else:
                of_callbacks.setdefault(who.task, victim)
        return (*of_tasks, *of_callbacks.values())[:NAMED], len(late) + len(self._further)
