"""Deaths: tasks that ended with an exception nobody has looked at, while something still refers to them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ...record.event import Coroutine, ExceptionLost, Frame, TargetStopping, TaskDied
from ..history import History
from ..units import seconds

# A task that died shortly before the end, or was given to somebody to look at, is told as a note.
UNSEEN_S = 1.0


@dataclass(frozen=True, slots=True)
class Death:
    """Tasks of one coroutine that died of the same error."""

    pid: int
    coroutine: Coroutine
    count: int
    error: str
    stack: tuple[Frame, ...]
    unseen_s: float  # how long the first one was not looked at, until the end of the record
    keeper: str  # as in `TaskDied`
    queue: str
    queued: int  # items in a queue that it served, and from which nobody gets
    putters: int
    putter: Coroutine | None
    at_barrier: int = 0  # tasks that wait for it at a barrier
    party: Coroutine | None = None

    @property
    def is_missed(self) -> bool:
        """Whether work waits for the dead."""
        return bool(self.queue or self.at_barrier)


def deaths(history: History) -> tuple[Death, ...]:
    """Those that nobody had looked at by the end of the record, those that are missed first."""
    stopping = history.last(TargetStopping)
    # Of a task that was deleted: asyncio reports what nobody had looked at until then.
    reported = {
        (lost.pid, *_key(lost.coroutine)) for lost in history.of(ExceptionLost) if lost.coroutine is not None
    }
    latest = {(event.pid, event.number): event for event in history.of(TaskDied)}
    same: dict[object, list[TaskDied]] = defaultdict(list)
    for event in latest.values():
        if event.retrieved or (event.gone and (event.pid, *_key(event.coroutine)) not in reported):
            continue
        if stopping is None or event.died_ns < stopping.at_ns:
            same[event.pid, event.coroutine, event.error.partition(":")[0], event.stack].append(event)
    found = [_of(events) for events in same.values()]
    return tuple(sorted(found, key=lambda death: (not death.is_missed, -death.queued, -death.count)))


def _key(coroutine: Coroutine) -> tuple[str, str, int]:
    return coroutine.name, coroutine.file, coroutine.line


def _of(events: list[TaskDied]) -> Death:
    first = min(events, key=lambda event: event.died_ns)
    worst = max(events, key=lambda event: (bool(event.queue), event.queued or 0, event.at_barrier))
    return Death(
        pid=first.pid,
        coroutine=first.coroutine,
        count=len(events),
        error=first.error,
        stack=first.stack,
        unseen_s=seconds(first.at_ns - first.died_ns),
        keeper=next((event.keeper for event in events if event.keeper), ""),
        queue=worst.queue,
        queued=worst.queued or 0,
        putters=worst.putters or 0,
        putter=worst.putter,
        at_barrier=worst.at_barrier,
        party=worst.party,
    )
