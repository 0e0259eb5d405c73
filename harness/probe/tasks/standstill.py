"""Finds things that tasks wait for while none of them is served: locks, semaphores, full queues, pools.

A census gives the waiting tasks. From the tasks the things are found, and from then on a thing tells by
itself who waits for it. That is compared from look to look: a wait that is there no more was served, and
until then the time counts in which none was. Only a thing that has stood for a while is looked at closely:
who is inside of it, and whether these wait for each other (`holder.py`).
"""

from __future__ import annotations

import os
from asyncio import Future, Task
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from types import CodeType
from typing import Any
from weakref import ref

from ...record.observation import Observation, Standstill, TasksAtPlace
from ...record.value import replace
from ..hooks.state import sync_state, task_state
from ..hooks.state.task_state import TaskRef
from . import coroutine, identity, waiting
from .coroutine import Place
from .holder import Holders, cause_of, is_timed
from .queue_standstill import FEEDERS, UNDONE, is_fed_by_its_takers, is_undone, may_be_served

# Places and things beyond these numbers are not followed.
PLACES, THINGS = 2_000, 500
# Tasks of one place that are asked what they wait for, at one look.
ASKED = 50
# Waits for one thing that are told apart, oldest first.
WAITS = 1_000
# What has stood for less is not looked at closely.
LONG_NS = 1_000_000_000
# Standstills that are written at one look, and the share by which a longer one grows between two events.
WRITTEN, GROWTH = 20, 0.1
# Who is inside of a lock is looked up again when it has stood this many times as long.
EXAMINED = 1.5
# Without a known reason, a standstill is written if as many tasks wait, and some of them came since it began.
CROWD = 3
NAMED = 3

# What waits in such a function takes something from a pool. Everyone else who waits for an item or an event
# may do so for hours.
_POOL = (
    "pool",
    "connector",
    "limiter",
    "acquire",
    "checkout",
    "check_out",
    "borrow",
    "get_conn",
)
_NO_POOL = (
    "worker",
    "consum",
    "listen",
    "subscri",
    "receiv",
    "watch",
    "idle",
    "clean",
    "maintain",
    "schedul",
    "spool",
    "monitor",
)
# Functions further out than this are the request's.
_NEAR = 5

_Side = Callable[[object], Sequence[Future[Any]]]
_SIDES: dict[str, _Side] = {
    "Lock.acquire": sync_state.waiters,
    "Semaphore.acquire": sync_state.waiters,
    "Queue.put": sync_state.putters,
    "Queue.get": sync_state.getters,
    "Queue.join": sync_state.joiners,
}
_LOCKS = ("Lock.acquire", "Semaphore.acquire")
# What many tasks may wait for with nothing wrong, if it is no pool.
_IF_POOL = ("Queue.get", "Event.wait", "Condition.wait", "future")


class _Crowd:
    """Those who wait for one thing, as the last look found them."""

    __slots__ = (
        *(
            "arrived",
            "arrived_ns",
            "cause",
            "examined_ns",
            "gap_ns",
            "holders",
            "number",
            "side",
            "since_ns",
            "thing",
        ),
        *("timed", "until_ns", "waits", "what", "works", "written", "written_ns"),
    )

    def __init__(self, what: str, thing: object = None) -> None:
        self.what = what
        self.thing = ref(thing) if thing is not None else None
        self.side = _SIDES.get(what, sync_state.waiters)
        self.waits: dict[int, ref[Future[Any]]] = {}  # by the id of the future, oldest first
        self.gap_ns = 0  # the longest earlier time in which none was served
        self.number = -1  # of the standstill in the record ...
        self.written: Standstill | None = None  # ... and its latest event
        self.begin(0)

    def begin(self, at_ns: int) -> None:
        """Count from *at_ns* on."""
        self.since_ns = self.until_ns = at_ns
        self.arrived, self.arrived_ns, self.written_ns, self.examined_ns = 0, 0, 0, 0
        self.cause, self.works, self.timed = "", False, False
        self.holders: dict[TaskRef, ref[Future[Any]] | None] = {}

    def update(self, at_ns: int, futures: Sequence[Future[Any]]) -> None:
        """Compare with the last look, and count anew if anyone was served."""
        known, self.waits, fresh = self.waits, {}, 0
        for future in islice(futures, WAITS):
            if task_state.is_done(future):
                continue
            before = known.get(id(future))
            if before is None or before() is not future:
                before, fresh = ref(future), fresh + 1
            self.waits[id(future)] = before
        if not known or len(self.waits) - fresh < len(known):
            self.gap_ns = max(self.gap_ns, self.until_ns - self.since_ns)
            self.begin(at_ns)
            return
        self.until_ns = at_ns
        if fresh:
            self.arrived, self.arrived_ns = self.arrived + fresh, at_ns

    def oldest(self) -> Future[Any] | None:
        """The longest wait."""
        return next((future for weak in self.waits.values() if (future := weak()) is not None), None)

    def waiters(self) -> Iterator[Task[Any]]:
        """The tasks that wait, oldest first."""
        for weak in list(self.waits.values()):
            if (future := weak()) is not None:
                yield from identity.waiters_of(future)

    def note_holders(self, found: Sequence[Task[Any]]) -> None:
        """Remember who is inside, and whether any of them has moved on since the last look."""
        before, self.holders = self.holders, {}
        for task in found:
            future = task_state.awaited_future(task)
            self.holders[ref(task)] = ref(future) if future is not None else None
        self.works = self.works or (bool(before) and before != self.holders)


class Standstills:
    """The standstills of this process."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._kinds: dict[Place, str] = {}
        self._pools: dict[CodeType, bool] = {}
        self._crowds: dict[object, _Crowd] = {}  # by the id of the thing, or by the place
        self._numbers = 0

    def look(self, at_ns: int, places: Mapping[Place, set[TaskRef]]) -> None:
        """Look at the tasks that wait at *places*."""
        at_place = self._discover(places)
        long = []
        for key, crowd in list(self._crowds.items()):
            self._update(at_ns, key, crowd, at_place)
            if crowd.waits and at_ns - crowd.since_ns >= LONG_NS:
                long.append(crowd)
        if long:
            self._examine(at_ns, long, places)

    def _discover(self, places: Mapping[Place, set[TaskRef]]) -> dict[Place, list[Future[Any]]]:
        """Find new things; return the waits for what is found by its place alone."""
        at_place: dict[Place, list[Future[Any]]] = {}
        if len(self._kinds) > PLACES:
            self._kinds.clear()
        for place, tasks in places.items():
            if (kind := self._kinds.get(place)) == "":
                continue
            for register in islice(tasks, ASKED if kind in (None, *_SIDES) else WAITS):
                if (task := register()) is None or (future := task_state.awaited_future(task)) is None:
                    continue
                links = coroutine.links(task_state.work_of(task))
                if kind is None:
                    kind = self._kinds[place] = self._kind_of(future, links)
                if kind == "" or (kind in _IF_POOL and not self._is_pool(links)):
                    if kind in ("", "future"):
                        self._kinds[place] = ""
                        break
                    continue
                known = waiting.on_asyncio(links) if kind in _SIDES else None
                if known is not None and known.what == kind and known.on is not None:
                    self._follow(id(known.on), kind, known.on)
                elif kind not in _SIDES:
                    self._follow(place, kind)
                    at_place.setdefault(place, []).append(future)
        return at_place

    def _kind_of(self, future: Future[Any], links: list[Any]) -> str:
        """What is waited for at a place: a key of `_SIDES`, one of `_IF_POOL`, or "" for anything else."""
        if not links or isinstance(future, Task) or task_state.gathered(future) is not None:
            return ""
        if (known := waiting.on_asyncio(links)) is None:
            return "future"
        return known.what if known.what in _SIDES or known.what in _IF_POOL else ""

    def _is_pool(self, links: list[Any]) -> bool:
        """Whether the functions near the end of a chain of coroutines take something from a pool."""
        near = [coroutine.code_of(link) for link in links[-_NEAR:]]
        if len(self._pools) > PLACES:
            self._pools.clear()
        for code in near:
            if code not in self._pools:
                # Not the functions around it: they may be about anything.
                name = code.co_qualname.rpartition("<locals>.")[2].lower()
                self._pools[code] = any(map(name.__contains__, _POOL)) and not any(
                    map(name.__contains__, _NO_POOL)
                )
        return any(self._pools[code] for code in near)

    def _follow(self, key: object, kind: str, thing: object = None) -> None:
        crowd = self._crowds.get(key)
        if crowd is not None and (crowd.thing is None or crowd.thing() is thing):
            return
        if len(self._crowds) >= THINGS:
            self._crowds = {key: crowd for key, crowd in self._crowds.items() if crowd.waits}
        if len(self._crowds) < THINGS:
            self._crowds[key] = _Crowd(kind, thing)

    def _update(
        self, at_ns: int, key: object, crowd: _Crowd, at_place: Mapping[Place, list[Future[Any]]]
    ) -> None:
        since_ns, was_written = crowd.since_ns, crowd.written_ns
        last = self._event(at_ns, crowd, ended=True) if was_written else None
        if crowd.thing is None:
            crowd.update(at_ns, at_place.get(key, []))  # type: ignore[call-overload]  # a place
        elif (thing := crowd.thing()) is not None:
            crowd.update(at_ns, crowd.side(thing))
        else:
            crowd.update(at_ns, ())
            del self._crowds[key]
        if last is not None and crowd.since_ns != since_ns:
            if last.waiting is None and crowd.written is not None:
                # All have given up since, and are gone: the latest sight of them counts.
                last = replace(crowd.written, ended=True)
            self._write(last)
            crowd.number, crowd.written = -1, None

    def _examine(self, at_ns: int, long: list[_Crowd], places: Mapping[Place, set[TaskRef]]) -> None:
        due = [
            crowd
            for crowd in long
            if crowd.what in _LOCKS
            and at_ns - crowd.since_ns >= (crowd.examined_ns - crowd.since_ns) * EXAMINED
        ]
        if due:
            # Those that were never examined first.
            due.sort(key=lambda crowd: (crowd.examined_ns, -len(crowd.waits)))
            holders, told = Holders(places), set[int]()
            for crowd in due[:WRITTEN]:
                self._examine_lock(at_ns, crowd, holders, told)
        for crowd in sorted(long, key=lambda crowd: (not crowd.cause, -len(crowd.waits)))[:WRITTEN]:
            thing = crowd.thing() if crowd.thing is not None else None
            if crowd.what in ("Queue.put", "Queue.join") and thing is not None:
                self._examine_queue(at_ns, crowd, thing, places)
            if crowd.cause or (len(crowd.waits) >= CROWD and crowd.arrived):
                self._write_again(at_ns, crowd)

    def _examine_lock(self, at_ns: int, crowd: _Crowd, holders: Holders, told: set[int]) -> None:
        crowd.examined_ns = at_ns
        thing = crowd.thing() if crowd.thing is not None else None
        if thing is None or (future := crowd.oldest()) is None:
            return
        crowd.note_holders(holders.of(thing))
        crowd.cause = cause_of(crowd.waiters(), thing, holders, told)
        crowd.timed = not crowd.cause and is_timed(thing, future.get_loop(), holders)

    def _examine_queue(
        self, at_ns: int, crowd: _Crowd, queue: Any, places: Mapping[Place, set[TaskRef]]
    ) -> None:
        if at_ns - crowd.since_ns < (crowd.examined_ns - crowd.since_ns) * EXAMINED:
            return
        crowd.examined_ns, tasks = at_ns, chain.from_iterable(places.values())
        if crowd.what == "Queue.join":
            crowd.cause = UNDONE if is_undone(queue, tasks) else ""
        elif not crowd.works:
            pending = list(tasks)
            crowd.works = may_be_served(queue, pending)
            crowd.cause = FEEDERS if not crowd.works and is_fed_by_its_takers(queue, pending) else ""

    def _write_again(self, at_ns: int, crowd: _Crowd) -> None:
        if at_ns - crowd.since_ns < (crowd.written_ns - crowd.since_ns) * (1 + GROWTH):
            return
        if crowd.number < 0:
            crowd.number, self._numbers = self._numbers, self._numbers + 1
        crowd.written_ns = at_ns
        crowd.written = self._event(at_ns, crowd, ended=False)
        self._write(crowd.written)

    def _event(self, at_ns: int, crowd: _Crowd, *, ended: bool) -> Standstill:
        tasks = list(islice(crowd.waiters(), NAMED))
        thing = crowd.thing() if crowd.thing is not None else None
        inside = [task for weak in crowd.holders if (task := weak()) is not None]
        return Standstill(
            at_ns=at_ns,
            pid=os.getpid(),
            number=crowd.number,
            what=crowd.what,
            thing=type(thing).__name__ if thing is not None else "",
            waiting=_at_place(tasks, len(crowd.waits)),
            since_ns=crowd.since_ns,
            arrived=crowd.arrived,
            arrived_ns=crowd.arrived_ns,
            gap_ns=crowd.gap_ns,
            holders=tuple(filter(None, (_at_place([task], 1) for task in inside[:NAMED]))),
            held_by=len(inside) if thing is not None else None,
            cause=crowd.cause,
            works=crowd.works,
            ended=ended,
            timed=crowd.timed,
        )


def _at_place(tasks: Sequence[Task[Any]], count: int) -> TasksAtPlace | None:
    if not tasks:
        return None
    return TasksAtPlace(coroutine.of_task(tasks[0]), tuple(task_state.name_of(task) for task in tasks), count)
