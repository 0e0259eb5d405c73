"""Follows the calls that wait for a thread of one pool, from one look to the next.

What tells a pool at which calls stand still from a long queue that is worked off is whether threads take
calls: a call that waited at the last look, and still waits, was not taken. The calls that came when all
threads had been at work for a while did not fill the pool themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import ref

from ...record.observation import CallsStood, Coroutine, Frame, PoolWorkers, StandingCalls
from ...record.value import replace
from ..hooks.state import executor_state, task_state
from ..tasks import coroutine, identity
from .pool import Frames, Pool, PoolWork, QueuedCall, TokenPool, coroutine_of

# A call that waits for this long stands.
STANDS_NS = 1_000_000_000
# Which call it is is asked only of those that have waited for half as long, and of this many at one look.
ASKED_NS, ASKED = 500_000_000, 100
# After this time without a free thread, a call that comes is late.
LATE_NS = 200_000_000
# How often it is looked at what the threads do.
WORK_NS = 1_000_000_000
# Groups of calls and of threads that are listed.
GROUPS = 20


class _Group:
    """Calls of one function and one asker."""

    __slots__ = (
        "behind_ns", "count", "given_up", "late", "late_looks", "stood_ns", "waited_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = self.waited_ns = self.late = self.stood_ns = self.behind_ns = self.given_up = 0
        self.late_looks: set[int] = set()


class _Call:
    """One call that waits."""

    __slots__ = ("counted", "given_up", "group", "joined", "known", "late", "since_ns")

    def __init__(self, key: Any, since_ns: int, *, joined: bool, late: bool) -> None:
        self.known: ref[Any] = ref(key)
        self.since_ns = since_ns
        self.joined = joined  # all threads were at work at the look before
        self.late = late  # ... and for a while
        self.group: _Group | None = None
        self.counted = self.given_up = False


class Backlog:
    """The calls that wait for one pool."""

    def __init__(self, number: int, pid: int) -> None:
        self._number = number
        self._pid = pid
        self._calls: dict[int, _Call] = {}
        self._was_full = False
        self._full_since_ns = 0  # since when all threads have been at work, and took no call
        self._last_ns = 0
        self._borrowed: set[int] = set()
        self._clear()

    def _clear(self) -> None:
        self.began_ns = 0  # 0: no call waits
        self._stood_ns = self._longest_ns = self._standing_ns = self._most = 0
        self._groups: dict[tuple[Frame, Frame], _Group] = {}
        self._workers: dict[tuple[Frame, Frame], PoolWorkers] = {}
        self._circle: Coroutine | None = None
        self._circled = 0
        self._work_ns = 0

    @property
    def counted(self) -> int:
        """The calls that have stood since the first one began to wait."""
        return sum(group.count for group in self._groups.values())

    @property
    def stood_ns(self) -> int:
        return self._stood_ns

    def rest(self, at_ns: int, *, is_full: bool) -> None:
        """Note a look at which no call waited."""
        self._calls.clear()
        self._mark(at_ns, is_full=is_full, took=False)
        self._clear()

    def look(self, at_ns: int, pool: Pool, frames: Frames, *, longest_gap_ns: int) -> bool:
        """Look at the calls that wait now; false if there are none.

        *longest_gap_ns*: a look that is later than this was delayed, as when the process was stopped.
        """
        is_full = pool.is_full(frames)
        waiting, took = self._compare(at_ns, pool, pool.calls())
        if not waiting:
            return False
        self.began_ns = self.began_ns or at_ns
        self._most = max(self._most, len(waiting))
        gap_ns = min(at_ns - self._last_ns, longest_gap_ns) if self._last_ns else 0
        if at_ns - self._work_ns >= WORK_NS:
            self._work_ns = at_ns
            self._note_work(pool, list(pool.work(frames)), waiting)
        stands = self._was_full and is_full and not took
        if stands and isinstance(pool, TokenPool) and next(pool.work(frames), None) is None:
            stands = False  # a blocked loop has not yet taken the tokens back
        self._standing_ns = self._standing_ns + gap_ns if stands else 0
        self._stood_ns += gap_ns if stands else 0
        self._longest_ns = max(self._longest_ns, self._standing_ns)
        self._add(at_ns, pool, waiting, gap_ns, stands=stands)
        self._mark(at_ns, is_full=is_full, took=took)
        return True

    def event(self, at_ns: int, pool_name: str, kind: str, threads: int, *, ended: bool) -> CallsStood:
        """What has stood since the first call began to wait."""
        groups = sorted(self._groups.items(), key=lambda one: -one[1].waited_ns)
        return CallsStood(
            at_ns=at_ns,
            pid=self._pid,
            pool=self._number,
            began_ns=self.began_ns,
            name=pool_name,
            kind=kind,
            threads=threads,
            waiting=self._most,
            stood_ns=self._stood_ns,
            longest_ns=self._longest_ns,
            calls=tuple(_standing(*key, group) for key, group in groups if group.count),
            workers=tuple(sorted(self._workers.values(), key=lambda one: -one.threads)),
            ended=ended,
            circle=self._circle,
            circled=self._circled,
        )

    def _compare(
        self, at_ns: int, pool: Pool, calls: list[QueuedCall]
    ) -> tuple[list[tuple[_Call, QueuedCall]], bool]:
        """The calls that wait, and whether a thread has taken one since the last look."""
        before, self._calls = self._calls, {}
        # Where looks are rare, the call has come at an unknown moment since the last one.
        full_ns = max(self._last_ns - self._full_since_ns, (at_ns - self._full_since_ns) // 2)
        late = self._was_full and full_ns >= LATE_NS
        waiting = []
        for call in calls:
            known = before.pop(id(call.key), None)
            if known is None or known.known() is not call.key:
                if not pool.is_awaited(call):
                    continue
                known = _Call(call.key, at_ns, joined=self._was_full, late=late)
            self._calls[id(call.key)] = known
            if not known.given_up and pool.is_given_up(call):
                known.given_up = True
                self._give_up(at_ns, known)
            if not known.given_up:
                waiting.append((known, call))
        took = any(not gone.given_up for gone in before.values())
        if isinstance(pool, TokenPool):
            # A task that stops waiting leaves the queue, too; a token that is taken has another borrower.
            borrowed = pool.holders()
            took, self._borrowed = not self._borrowed <= borrowed, borrowed
            for gone in before.values() if not took else ():
                self._give_up(at_ns, gone)
        return waiting, took

    def _mark(self, at_ns: int, *, is_full: bool, took: bool) -> None:
        if took or not is_full or not self._was_full:
            self._full_since_ns = at_ns
        self._was_full, self._last_ns = is_full, at_ns

    def _add(
        self, at_ns: int, pool: Pool, waiting: list[tuple[_Call, QueuedCall]], gap_ns: int, *, stands: bool
    ) -> None:
        asked = 0
        stood: set[int] = set()
        behind: set[int] = set()
        # Those that came late first: they are the last, and the fewest.
        for known, call in sorted(waiting, key=lambda one: not one[0].joined):
            waited_ns = at_ns - known.since_ns
            # One that came late may have a short time limit, and afterwards it is not known who asked.
            asked_ns = LATE_NS if known.joined else ASKED_NS
            if known.group is None and waited_ns >= asked_ns and asked < ASKED:
                asked += 1
                known.group = self._group_of(pool, call)
            if (group := known.group) is None:
                continue
            if waited_ns >= STANDS_NS:
                _count(known, group)
            if known.counted:
                group.waited_ns = max(group.waited_ns, waited_ns)
            if stands and known.late and id(group) not in stood:
                stood.add(id(group))
                group.stood_ns += gap_ns
            if known.joined and known.counted and id(group) not in behind:
                behind.add(id(group))
                group.behind_ns += gap_ns

    def _give_up(self, at_ns: int, known: _Call) -> None:
        """Count a call that nobody awaits any more, also if the time limit of its task was short."""
        if at_ns - known.since_ns >= LATE_NS and known.group is not None:
            _count(known, known.group)
            known.group.given_up += 1
            known.group.waited_ns = max(known.group.waited_ns, self._last_ns - known.since_ns)

    def _group_of(self, pool: Pool, call: QueuedCall) -> _Group | None:
        asker = coroutine_of(next(pool.askers(call), None))
        key = pool.function_of(call), asker
        if key not in self._groups and len(self._groups) < GROUPS:
            self._groups[key] = _Group()
        return self._groups.get(key)

    def _note_work(self, pool: Pool, work: list[PoolWork], waiting: list[tuple[_Call, QueuedCall]]) -> None:
        now: dict[tuple[Frame, Frame], PoolWorkers] = {}
        for one in work:
            key = one.function, one.asker
            seen = now.get(key) or PoolWorkers(one.function, one.asker, one.stack, 0)
            now[key] = replace(seen, threads=seen.threads + 1)
        for key, seen in now.items():
            before = self._workers.get(key)
            if before is None and len(self._workers) >= GROUPS:
                continue
            if before is None or seen.threads > before.threads:
                self._workers[key] = seen
        awaited = [one.waits_for for one in work if one.waits_for is not None]
        if awaited and self._circle is None:
            self._find_circle(pool, awaited, waiting)

    def _find_circle(self, pool: Pool, awaited: list[Any], waiting: list[tuple[_Call, QueuedCall]]) -> None:
        """Look whether what a waiting call is needed for is what threads of the pool wait for."""
        found = set()
        for _, call in waiting[:ASKED]:
            for task in _with_waiters(next(pool.askers(call), None)):
                for callback in task_state.callbacks(task):
                    for future in executor_state.chained_to(callback):
                        if any(future is one for one in awaited):
                            found.add(id(future))
                            self._circle = self._circle or coroutine.of_task(task)
        self._circled = sum(id(one) in found for one in awaited)


def _count(known: _Call, group: _Group) -> None:
    if not known.counted:
        known.counted = True
        group.count += 1
        group.late += known.late
        if known.late:
            group.late_looks.add(known.since_ns)


def _with_waiters(task: Any) -> Iterator[Any]:
    """*task*, the task that waits for it, and so on."""
    for _ in range(identity.CHAIN):
        if task is None:
            return
        yield task
        task = next(identity.waiters_of(task), None)


def _standing(function: Frame, asker: Frame, group: _Group) -> StandingCalls:
    return StandingCalls(
        function=function,
        asker=asker,
        count=group.count,
        waited_ns=group.waited_ns,
        late=group.late,
        late_times=len(group.late_looks),
        stood_ns=group.stood_ns,
        behind_ns=group.behind_ns,
        given_up=group.given_up,
    )
