"""Why a loop was held: from where the kernel had its thread, its CPU time, and what other threads did.

A thread that waits in a call leaves the GIL to others, so it was looked at often, and the kernel names the
call. A thread that computes uses the processor. When neither holds, somebody else had the GIL or the
processor: a thread that used as much CPU, or another program.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ..record.event import Blocked, OtherThread
from .interval import NOT_WAITING, Interval

# Measured: what computes has at least 0.60 of its time on the processor or queueing for it, what waits 0.22.
ON_CPU_SHARE = 0.6
# Code that queued for the processor and got less of it than this did not run: the machine was full.
STARVED_SHARE = 0.2
# A thread that makes no progress at all waits for a lock; one that gets at the GIL now and then does not.
PROGRESS_SHARE = 0.02
PROGRESS_NS = 1_000_000
# The probe looks every 5 ms from half the limit on; it could look less often when it did not get the GIL.
LOOKS_ENOUGH = 3
# A watch that began as it should saw half of the turn or more; one that had to wait for the GIL, its end.
WATCHED_SHARE = 0.25
# Who starts a thread waits until that one says that it runs, for which it needs the processor and the GIL
# alone. The wait is so many frames deep at most.
STARTING, STARTING_DEPTH = ("threading.py", "Thread.start"), 3
# Library functions at the inner end of a stack that tell of a thread that waits.
WAITING_FUNCTIONS = {"_worker", "acquire", "get", "join", "poll", "run_forever", "select", "wait"}


def cause(turn: Blocked, stretch: Interval, *, beside: Sequence[Interval], limit_ns: int) -> str:
    """The cause of one stretch of a late turn, as the contract names it; "many" and "import" aside.

    *beside* are all stretches of the turn: what the thread waited in others is not this one's.
    """
    began_ns, ended_ns = stretch.looks[0].from_ns, stretch.looks[-1].to_ns
    collected_ns = sum(p.held_ns for p in turn.pauses if began_ns <= p.at_ns < ended_ns)
    if collected_ns * 2 >= stretch.held_ns:
        return "gc"
    if stretch.asleep:
        return "gil" if suspects(turn) else "descheduled"
    if _starts_thread(stretch):
        return "gil" if _used_ns(suspects(turn)) * 2 >= stretch.held_ns else "descheduled"
    if stretch.waited_ns * 2 > stretch.held_ns:
        return "call"
    if _was_watched(turn, stretch):
        found = _by_looks(turn, stretch, _waited_ns(turn, beside), limit_ns)
    elif turn.whole_cpu_ns is not None and turn.whole_ns:
        found = _by_whole(turn, stretch, limit_ns)
    else:  # nothing is known from inside
        found = "cpu" if stretch.running else "call"
    # It computed, but less than the limit: with the processor to itself it would not have been late.
    starved = found == "cpu" and turn.whole_cpu_ns is not None and turn.whole_cpu_ns < limit_ns
    return "descheduled" if starved else found


def suspects(turn: Blocked) -> tuple[OtherThread, ...]:
    """The threads that may have held the GIL while the loop was late, the busiest first."""
    able = [other for other in turn.others if not _waits(other)]
    return tuple(sorted(able, key=lambda other: other.used_ns, reverse=True))


def _was_watched(turn: Blocked, stretch: Interval) -> bool:
    """Whether the figures of the watch stand for the turn, and not for a moment at its end."""
    if turn.cpu_ns is None or turn.queued_ns is None or stretch.samples < LOOKS_ENOUGH:
        return False
    # While a turn goes on, the watch is all there is.
    return turn.whole_ns is None or (turn.watched_ns or 0) >= turn.held_ns * WATCHED_SHARE


def _by_looks(turn: Blocked, stretch: Interval, waited_ns: int, limit_ns: int) -> str:
    """By what the loop's thread did from the first look on, when it is not known to have waited."""
    watched_ns = max(1, (turn.watched_ns or 0) - waited_ns)
    cpu_ns, queued_ns = turn.cpu_ns or 0, turn.queued_ns or 0
    if (cpu_ns + queued_ns) / watched_ns >= ON_CPU_SHARE:
        starved = queued_ns > cpu_ns and cpu_ns / watched_ns < STARVED_SHARE and cpu_ns < limit_ns
        return "descheduled" if starved else "cpu"
    progresses = cpu_ns / watched_ns >= PROGRESS_SHARE
    if progresses and _used_ns(suspects(turn)) * 2 >= watched_ns:
        return "gil"
    # It could have run all the time; a thread whose cgroup is throttled does not count as one that queues.
    return "descheduled" if stretch.running else "call"


def _by_whole(turn: Blocked, stretch: Interval, limit_ns: int) -> str:
    """By the whole turn: its watcher had next to no chance to look, because it did not get the GIL."""
    if (turn.whole_cpu_ns or 0) * 2 >= (turn.whole_ns or 1):
        return "cpu"
    if suspects(turn):
        return "gil"
    if stretch.samples >= LOOKS_ENOUGH and not stretch.running:
        return "call"
    # Nobody else had the GIL, so what the machine gave to others is not its excuse when it computed so much.
    # What was measured began before the turn: all of that time may have been computing.
    computed_ns = (turn.whole_cpu_ns or 0) - ((turn.whole_ns or 0) - turn.held_ns)
    return "cpu" if computed_ns >= limit_ns else "descheduled"


def _waited_ns(turn: Blocked, stretches: Sequence[Interval]) -> int:
    """How much of its watch the kernel is known to have kept the thread waiting."""
    watch_began_ns = turn.at_ns + turn.held_ns - (turn.watched_ns or 0)
    looks = [look for stretch in stretches for look in stretch.looks if look.waited_ns]
    return sum(max(0, look.to_ns - max(look.from_ns, watch_began_ns)) for look in looks)


def _starts_thread(stretch: Interval) -> bool:
    """Whether for most of the time it waited for a thread of its own to begin."""
    starting_ns = sum(
        look.to_ns - look.from_ns
        for look in stretch.looks
        if look.sample.syscall in NOT_WAITING
        and any((PurePath(f.file).name, f.function) == STARTING for f in look.sample.stack[-STARTING_DEPTH:])
    )
    return starting_ns * 2 > stretch.held_ns


def _waits(other: OtherThread) -> bool:
    # A futex is what the GIL is waited for in, and every lock: who makes no progress waits for a lock.
    if other.syscall == "futex":
        leaf = other.stack[-1].function.rpartition(".")[2] if other.stack else ""
        return other.used_ns < PROGRESS_NS or leaf in WAITING_FUNCTIONS
    return other.syscall not in ("", "running")


def _used_ns(others: Sequence[OtherThread]) -> int:
    return sum(other.used_ns for other in others)
