"""Calls that stood behind a pool of threads, and whether that was trouble.

A long queue alone is none: a batch fills it on purpose, and works it off. It is trouble if the calls that
stood did not fill the pool themselves. Such calls came when all threads had been at work for a while, and are
of another function, or from another coroutine, than those at which the threads were at work. Calls of the
same function are told only if they kept coming while no thread took any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...record.event import CallsStood, Coroutine, Frame, PoolWorkers, StandingCalls
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack, work_in
from ..history import History
from ..units import ms, seconds

# Calls of others: how long they stood while no thread took a call.
STOOD_S = 1.0
# How long they waited in vain where threads did take calls, one after the other, and for how long in all.
BEHIND_WAITED_S, BEHIND_S = 3.0, 2.0
# Calls of the same kind as those at work: how long no thread took one, and how often further ones came
# meanwhile. A program that starts its next call when one ends adds none meanwhile.
SAME_STOOD_S, SAME_TIMES = 5.0, 3
# A queue in which calls waited for so long is worth a note.
NOTED_S = 10.0


class WhyStanding(StrEnum):
    """Why calls stood."""

    CIRCLE = "circle"  # the threads wait for what the calls are needed for
    OTHERS = "others"  # all threads did other work
    SAME = "same"  # all threads did the same work, and did not get on
    QUEUE = "queue"  # the program has filled the pool itself


@dataclass(frozen=True, slots=True)
class PoolStanding:
    """The calls that stood behind the same work in one pool."""

    pid: int
    why: WhyStanding
    pool: str  # "the default executor"
    kind: str  # as in `CallsStood`
    threads: int  # that the pool may have
    working: int  # of them: at the work to blame, at a time
    work: str  # the function that was submitted
    function: str  # where its threads are: the innermost function of the program, the same or another
    file: str
    line: int
    calls: int  # that stood
    functions: tuple[str, ...]  # theirs, those that did not fill the pool first
    waited_ms: float  # the longest wait, a lower bound
    stood_s: float  # the wall time for which they stood
    given_up: int
    circle: Coroutine | None = None


def standing(history: History) -> tuple[PoolStanding, ...]:
    """Where calls stood, at the greatest cost first."""
    latest = {(one.pid, one.pool, one.began_ns): one for one in history.of(CallsStood)}
    found: dict[tuple[object, ...], list[PoolStanding]] = defaultdict(list)
    for event in latest.values():
        if event.workers and event.calls:
            one = _standing(event, history.ownership(event.pid))
            found[one.pid, one.why, one.pool, one.work, one.file, one.line].append(one)
    return tuple(sorted(map(_together, found.values()), key=lambda one: -one.stood_s))


def _standing(event: CallsStood, ownership: CodeOwnership) -> PoolStanding:
    why, stood_ns = _why(event)
    workers = max(event.workers, key=lambda one: one.threads)
    at = _blamed(workers, ownership)
    same = _kinds(event.workers)
    calls = sorted(event.calls, key=lambda one: (_is_same(one, *same), -one.late, -one.waited_ns))
    return PoolStanding(
        pid=event.pid,
        why=why,
        pool=event.name,
        kind=event.kind,
        threads=event.threads,
        working=workers.threads,
        work=workers.function.function or at.function,
        function=at.function,
        file=at.file,
        line=at.line,
        calls=sum(one.count for one in calls),
        functions=tuple(dict.fromkeys(one.function.function for one in calls if one.function.function)),
        waited_ms=ms(max(one.waited_ns for one in calls)),
        stood_s=seconds(stood_ns),
        given_up=sum(one.given_up for one in calls),
        circle=event.circle,
    )


def _why(event: CallsStood) -> tuple[WhyStanding, int]:
    """Why calls stood, and for how long (ns)."""
    if event.circle is not None and event.circled >= sum(one.threads for one in event.workers):
        return WhyStanding.CIRCLE, event.stood_ns
    functions, askers = _kinds(event.workers)
    others = [one for one in event.calls if not _is_same(one, functions, askers)]
    if stood := _longest(one.stood_ns for one in others if seconds(one.stood_ns) >= STOOD_S):
        return WhyStanding.OTHERS, stood
    strangers = [one for one in others if _is_known(one.asker, askers) and one.asker not in askers]
    if behind := _longest(
        one.behind_ns
        for one in strangers
        if seconds(one.waited_ns) >= BEHIND_WAITED_S and seconds(one.behind_ns) >= BEHIND_S
    ):
        return WhyStanding.OTHERS, behind
    kept_coming = (one for one in event.calls if one.late_times >= SAME_TIMES)
    if stood := _longest(one.stood_ns for one in kept_coming if seconds(one.stood_ns) >= SAME_STOOD_S):
        return WhyStanding.SAME, stood
    return WhyStanding.QUEUE, event.stood_ns


def _kinds(workers: Iterable[PoolWorkers]) -> tuple[set[Frame], set[Frame]]:
    """The functions at which threads were at work, and the coroutines that asked for it."""
    listed = list(workers)
    return {one.function for one in listed}, {one.asker for one in listed if one.asker.function}


def _is_same(call: StandingCalls, functions: set[Frame], askers: set[Frame]) -> bool:
    """Whether a call is of the same kind as those at work; also if that is not known."""
    is_other = _is_known(call.function, functions) and call.function not in functions
    is_strangers = _is_known(call.asker, askers) and call.asker not in askers
    return not (is_other or is_strangers)


def _is_known(one: Frame, others: set[Frame]) -> bool:
    return bool(one.function) and any(other.function for other in others)


def _longest(times_ns: Iterable[int]) -> int:
    return max(times_ns, default=0)


def _blamed(workers: PoolWorkers, ownership: CodeOwnership) -> Frame:
    """The innermost line of the program's own code in the work, else of the function that was submitted."""
    stack = work_in(workers.stack) or workers.stack
    found = TurnStack(stack, ownership).blamed
    if found is not None and ownership.is_application(found):
        return found
    return workers.function if workers.function.file else found or workers.function


def _together(parts: Sequence[PoolStanding]) -> PoolStanding:
    """Several times in which calls stood behind the same work, as one."""
    worst = max(parts, key=lambda one: one.stood_s)
    return PoolStanding(
        pid=worst.pid,
        why=worst.why,
        pool=worst.pool,
        kind=worst.kind,
        threads=worst.threads,
        working=max(one.working for one in parts),
        work=worst.work,
        function=worst.function,
        file=worst.file,
        line=worst.line,
        calls=sum(one.calls for one in parts),
        functions=tuple(dict.fromkeys(name for one in (worst, *parts) for name in one.functions)),
        waited_ms=max(one.waited_ms for one in parts),
        stood_s=sum(one.stood_s for one in parts),
        given_up=sum(one.given_up for one in parts),
        circle=worst.circle,
    )
