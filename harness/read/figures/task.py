"""What became of the tasks: which leaked, and which kept running after a cancellation.

The probe's censuses count clusters: the pending tasks of one coroutine that wait at one line. A cluster whose
members change is working; one that appeared all at once is a pool. A leak is a cluster that grew while the
program worked, and that hardly any task ever left.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ...record.event import (
    AwaitSite,
    CancelSwallowed,
    Coroutine,
    ExceptionLost,
    NeverAwaited,
    TargetStopping,
    TaskCluster,
    TaskDestroyed,
    TasksCounted,
)
from ..history import History
from ..units import ms, seconds

L = TypeVar("L", TaskDestroyed, ExceptionLost, NeverAwaited, CancelSwallowed)

# The part of the probe that counts tasks.
CENSUS = "census"
# Smaller clusters are not reported.
LEAST = 20
# A leak still has at least this share of the tasks ever seen at its place.
STAYED = 0.8
# Between a tenth and nine tenths of its size, a leak grows for at least this share of the observed time and
# of the CPU time used in it, while a pool is complete at once. CPU time counts more, because a small program
# works for a moment and then waits.
GROWTH_OF_TIME, GROWTH_OF_CPU = 0.03, 0.1
# It also grows for at least this long, unlike a burst at the start; or faster, if OTHERS tasks came and ended
# for each task of the cluster, which shows that the program was working.
GROWTH_NS = 200_000_000
OTHERS = 0.5
# Before 3.12 `wait_for` runs its awaitable in a separate task: one more for each connection of a pool.
TASK_OF_WAIT_FOR = 1
# A leak still grows after this share of the CPU time; even a slow pool is complete soon after the start.
LATEST_OF_CPU = 0.25
# From this many new descriptors per new task on, the tasks probably serve open connections.
CONNECTED = 0.5


@dataclass(frozen=True, slots=True)
class Tasks:
    """The number of tasks by outcome; null where it is not known."""

    started: int | None = None  # counting would slow down each task
    finished: int | None = None
    leaked: int | None = None
    destroyed_pending: int | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """A cluster that only grew."""

    pid: int
    coroutine: Coroutine
    count: int
    from_s: float  # since the run's start: when it had a tenth of its size ...
    to_s: float  # ... and nine tenths
    left: int  # how many tasks seen there have left
    connected: bool  # the number of open files or sockets grew with it


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Tasks at one place that were still pending long after they were cancelled."""

    pid: int
    coroutine: Coroutine
    count: int
    after_ms: float  # since the cancellation, a lower bound
    pending: bool  # at the end of the record


def figures(history: History, leaks: Iterable[Leak]) -> Tasks:
    """The figures of the report; all null without a census in the record."""
    # After the last census, which was the last of a program with few tasks, there may have been any number.
    if not history.of(TasksCounted) or history.left_out(CENSUS):
        return Tasks()
    return Tasks(
        leaked=sum(leak.count for leak in leaks if not leak.connected),
        destroyed_pending=sum(loss.count for loss in latest(history.of(TaskDestroyed))),
    )


def leaks(history: History) -> tuple[Leak, ...]:
    """The clusters that only grew until their process was asked to end, largest first."""
    found = [leak for pid, taken in _by_process(history).items() for leak in _leaks_of(pid, taken, history)]
    return tuple(sorted(found, key=lambda leak: -leak.count))


def cancelled(history: History) -> tuple[Cancelled, ...]:
    """The coroutines whose tasks kept running after a cancellation, longest first."""
    places = _places(history)
    longest: dict[tuple[int, str, int], Cancelled] = {}
    for pid, taken in _by_process(history).items():
        for census in taken:
            for cluster in census.clusters:
                of = places.get((pid, cluster.place))
                if of is None or not cluster.cancelled:
                    continue
                # By coroutine, because a task may move on to another line.
                key = (pid, of.file, of.line)
                item = Cancelled(pid, of, cluster.cancelled, ms(cluster.cancelled_ns), census is taken[-1])
                if key not in longest or item.after_ms >= longest[key].after_ms:
                    longest[key] = item
    return tuple(sorted(longest.values(), key=lambda item: -item.after_ms))


def latest(losses: Iterable[L]) -> list[L]:
    """One event per kind of loss: the last one, which has the final count."""
    return list({(loss.pid, loss.at_ns, loss.coroutine): loss for loss in losses}.values())


def _leaks_of(pid: int, taken: list[TasksCounted], history: History) -> Iterator[Leak]:
    stopping = history.last(TargetStopping)
    stopped_ns = stopping.at_ns if stopping else history.ended_ns
    # Tasks that are pending while a loop shuts down have been cancelled already.
    taken = [census for census in taken if not census.closing and census.at_ns <= stopped_ns]
    if not taken:
        return
    first, last, places = taken[0], taken[-1], _places(history)
    others = OTHERS + (TASK_OF_WAIT_FOR if _python(pid, history) < (3, 12) else 0)
    time_ns, cpu_ns = last.at_ns - first.at_ns, last.cpu_ns - first.cpu_ns
    for cluster in last.clusters:
        of = places.get((pid, cluster.place))
        if of is None or cluster.count < LEAST or cluster.count < cluster.seen * STAYED:
            continue
        few = next(census for census in taken if _count(census, cluster.place) >= cluster.count * 0.1)
        most = next(census for census in taken if _count(census, cluster.place) >= cluster.count * 0.9)
        # The last census below nine tenths of its size, because censuses may be far apart.
        growing = next((census for census in reversed(taken) if census.at_ns < most.at_ns), few)
        least_ns = 0 if _others_ended(few, most, cluster.place, others) else GROWTH_NS
        if (
            growing.at_ns - few.at_ns < max(least_ns, time_ns * GROWTH_OF_TIME)
            or growing.cpu_ns - few.cpu_ns < cpu_ns * GROWTH_OF_CPU
            or growing.cpu_ns - first.cpu_ns < cpu_ns * LATEST_OF_CPU
        ):
            continue
        grown = _count(most, cluster.place) - _count(few, cluster.place)
        yield Leak(
            pid=pid,
            coroutine=of,
            count=cluster.count,
            from_s=seconds(history.since_start_ns(few.at_ns)),
            to_s=seconds(history.since_start_ns(most.at_ns)),
            left=cluster.seen - cluster.count,
            connected=most.descriptors - few.descriptors >= grown * CONNECTED,
        )


def _count(census: TasksCounted, place: int) -> int:
    return sum(cluster.count for cluster in census.clusters if cluster.place == place)


def _cluster(census: TasksCounted, place: int) -> TaskCluster | None:
    return next((cluster for cluster in census.clusters if cluster.place == place), None)


def _others_ended(few: TasksCounted, most: TasksCounted, place: int, least: float) -> bool:
    """Whether between the two at least *least* other tasks came and ended per task that came to *place*."""
    before, after = _cluster(few, place), _cluster(most, place)
    if before is None or after is None or not before.newest:
        return False
    ended = (after.newest - before.newest) - (most.pending - few.pending)
    return ended >= (after.count - before.count) * least > 0


def _python(pid: int, history: History) -> tuple[int, ...]:
    """The Python version of the process *pid*; without a record, that of this process."""
    opened = (source.opened for source in history.sources if source.opened is not None)
    version = next((one.python for one in opened if one.pid == pid), "")
    return tuple(map(int, version.split(".")[:2])) if version else sys.version_info[:2]


def _places(history: History) -> dict[tuple[int, int], Coroutine]:
    return {(site.pid, site.place): site.coroutine for site in history.of(AwaitSite)}


def _by_process(history: History) -> dict[int, list[TasksCounted]]:
    taken: dict[int, list[TasksCounted]] = defaultdict(list)
    for census in history.of(TasksCounted):
        taken[census.pid].append(census)
    return taken
