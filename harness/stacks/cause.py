"""Why a loop was held, judged by its thread's system calls and CPU time, and by what other threads did.

A thread that waits in a call releases the GIL, so it is sampled often, and the kernel names the call. A
thread that computes uses CPU time. Otherwise another thread held the GIL, or another program the processor:
the latter only where the kernel's figures prove it (`starvation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePath

from ..record.observation import FUTEX_WITH_LIMIT, Blocked, OtherThread
from .interval import NOT_WAITING, Interval
from .starvation import ProcessorLoss


class Cause(StrEnum):
    """Why a loop was held, by the names of the contract."""

    CALL = "call"  # waiting in a call
    CPU = "cpu"  # running on the loop's thread
    GIL = "gil"  # another thread held the GIL
    GC = "gc"  # the garbage collector
    IMPORT = "import"
    MANY = "many"  # many short callbacks in one turn
    DESCHEDULED = "descheduled"  # the process got no processor, by the kernel's own figures
    UNKNOWN = "unknown"  # none of these is proven


# Measured: share of time on the processor or queued for it: at least 0.60 when computing, 0.22 when waiting.
ON_CPU_SHARE = 0.6
# With less of it, a collection is only mentioned: the code that made it necessary held the loop as well.
# Around a half, the same program would get another cause in each run.
COLLECTED_SHARE = 2 / 3
# The share if the rest alone would be a block.
COLLECTED_NEARLY_ALL = 0.9
# If the probe's thread, which mostly sleeps, was queued for this share of a time, the machine was busy.
BUSY_SHARE = 0.3
# Code that queued for the processor and got less than this share of it was starved by a busy machine.
STARVED_SHARE = 0.2
# The kernel's figures of a long turn miss some of its time: less than this share of it proves no wait.
SLEPT_SHARE = 1 / 3
# A thread without any progress waits for a lock; a thread that gets the GIL now and then makes some.
PROGRESS_SHARE = 0.02
PROGRESS_NS = 1_000_000
# The watchdog samples from half the limit on; fewer samples than this mean that it did not get the GIL.
LOOKS_ENOUGH = 3
# A watch that began in time covers at least half of the turn; one delayed by the GIL covers only its end.
WATCHED_SHARE = 0.25
# `Thread.start` blocks until the new thread runs, which needs only a processor and the GIL. Maximum depth of
# that wait, in frames.
STARTING, STARTING_DEPTH = ("threading.py", "Thread.start"), 3
# Library functions at the inner end of a stack that identify a waiting thread.
WAITING_FUNCTIONS = {"_worker", "acquire", "get", "join", "poll", "run_forever", "select", "wait"}


def cause(
    turn: Blocked, interval: Interval, *, beside: Sequence[Interval], limit_ns: int, lost: ProcessorLoss
) -> Cause:
    """The cause of one interval of a late turn; never `Cause.MANY` or `Cause.IMPORT`.

    *beside* holds all intervals of the turn: waits in the other ones are subtracted. *lost* is what the turn
    lost of the processor.
    """
    rest_ns = interval.held_ns - (gc_ns := collected_ns(turn, interval))
    share = COLLECTED_SHARE if rest_ns < limit_ns else COLLECTED_NEARLY_ALL
    starved = lost.awake_ns * 2 >= sum(one.held_ns for one in beside if not one.asleep)
    if gc_ns >= interval.held_ns * share:
        # A pause is wall time. Without a processor, a collection of a few milliseconds takes as long.
        few = turn.whole_cpu_ns is not None and turn.whole_cpu_ns < limit_ns
        return Cause.DESCHEDULED if starved and few and not interval.asleep else Cause.GC
    if interval.asleep:
        return _of_late_wake_up(turn, interval, lost)
    if _starts_thread(interval):
        return _of_thread_start(turn, interval, lost)
    if interval.waited_ns * 2 > interval.held_ns:
        return Cause.CALL
    if _was_watched(turn, interval):
        found = _by_looks(turn, interval, _waited_ns(turn, beside), limit_ns, starved=starved)
    elif turn.whole_cpu_ns is not None and turn.whole_ns:
        # What neither ran nor was queued for the limit would have been late with the processor to itself.
        slept_ns = turn.held_ns - lost.whole_ns - turn.whole_cpu_ns
        slept = slept_ns >= max(limit_ns, turn.held_ns * SLEPT_SHARE)
        found = _by_whole(turn, interval, limit_ns, starved=starved and not slept)
    else:  # nothing is known from inside
        found = Cause.CPU if interval.running else Cause.CALL
    if found is Cause.CPU and turn.whole_cpu_ns is not None and turn.whole_cpu_ns < limit_ns:
        # It computed, but less than the limit. Would it have been late with the processor to itself?
        return Cause.DESCHEDULED if starved or turn.held_ns - lost.whole_ns < limit_ns else found
    return found


def collected_ns(turn: Blocked, interval: Interval) -> int:
    """How long the garbage collector ran in the interval."""
    began_ns, ended_ns = interval.looks[0].from_ns, interval.looks[-1].to_ns
    return sum(max(0, min(p.at_ns + p.held_ns, ended_ns) - max(p.at_ns, began_ns)) for p in turn.pauses)


def suspects(turn: Blocked) -> tuple[OtherThread, ...]:
    """Threads that may have held the GIL while the loop was late, busiest first."""
    able = [other for other in turn.others if not _waits(other)]
    return tuple(sorted(able, key=lambda other: other.used_ns, reverse=True))


def _was_watched(turn: Blocked, interval: Interval) -> bool:
    """Whether the watchdog's figures cover the turn and not only its end."""
    if turn.cpu_ns is None or turn.queued_ns is None or interval.samples < LOOKS_ENOUGH:
        return False
    # A turn that has not ended has no other figures.
    return turn.whole_ns is None or (turn.watched_ns or 0) >= turn.held_ns * WATCHED_SHARE


def _of_late_wake_up(turn: Blocked, interval: Interval, lost: ProcessorLoss) -> Cause:
    """The loop was due and ran no code."""
    if lost.asleep_ns * 2 >= interval.held_ns:
        return Cause.DESCHEDULED
    if suspects(turn):
        return Cause.GIL
    # A loop without a selector in Python shows no difference between waiting and a callback in C.
    if not turn.woke_ns and (turn.whole_cpu_ns or 0) * 2 >= (turn.whole_ns or turn.held_ns):
        return Cause.CPU
    return Cause.DESCHEDULED if lost.whole_ns * 2 >= interval.held_ns else Cause.UNKNOWN


def _of_thread_start(turn: Blocked, interval: Interval, lost: ProcessorLoss) -> Cause:
    """The loop's thread waits for a thread that it has started, which needs a processor and the GIL."""
    if _used_ns(suspects(turn)) * 2 >= interval.held_ns:
        return Cause.GIL
    busy_ns = max(lost.awake_ns, lost.starting_ns)
    return Cause.DESCHEDULED if busy_ns >= interval.held_ns * BUSY_SHARE else Cause.CALL


def _by_looks(turn: Blocked, interval: Interval, waited_ns: int, limit_ns: int, *, starved: bool) -> Cause:
    """Judge by what the loop's thread did from the first sample on, excluding known waits."""
    watched_ns = max(1, (turn.watched_ns or 0) - waited_ns)
    cpu_ns, queued_ns = turn.cpu_ns or 0, turn.queued_ns or 0
    if (cpu_ns + queued_ns) / watched_ns >= ON_CPU_SHARE:
        queued = queued_ns > cpu_ns and cpu_ns / watched_ns < STARVED_SHARE and cpu_ns < limit_ns
        return Cause.DESCHEDULED if queued else Cause.CPU
    progresses = cpu_ns / watched_ns >= PROGRESS_SHARE
    if progresses and _used_ns(suspects(turn)) * 2 >= watched_ns:
        return Cause.GIL
    # It was neither running nor ready to run, so it waited in the kernel, whatever one look at it saw. A
    # process that is stopped or throttled looks the same from inside.
    return Cause.DESCHEDULED if starved and interval.running else Cause.CALL


def _by_whole(turn: Blocked, interval: Interval, limit_ns: int, *, starved: bool) -> Cause:
    """Judge by the whole turn: the watchdog took hardly any samples, because it did not get the GIL."""
    if (turn.whole_cpu_ns or 0) * 2 >= (turn.whole_ns or 1):
        return Cause.CPU
    if starved and (turn.whole_cpu_ns or 0) < limit_ns:
        return Cause.DESCHEDULED
    if suspects(turn):
        return Cause.GIL
    if interval.samples >= LOOKS_ENOUGH and not interval.running:
        return Cause.CALL
    # No other thread had the GIL. The measurement began before the turn; all of the time in between may have
    # been computing.
    computed_ns = (turn.whole_cpu_ns or 0) - ((turn.whole_ns or 0) - turn.held_ns)
    return Cause.CPU if computed_ns >= limit_ns else Cause.UNKNOWN


def _waited_ns(turn: Blocked, intervals: Sequence[Interval]) -> int:
    """How long the thread is known to have waited in the kernel during the watch."""
    watch_began_ns = turn.at_ns + turn.held_ns - (turn.watched_ns or 0)
    looks = [look for interval in intervals for look in interval.looks if look.waited_ns]
    return sum(max(0, look.to_ns - max(look.from_ns, watch_began_ns)) for look in looks)


def _starts_thread(interval: Interval) -> bool:
    """Whether it spent most of its time waiting for a thread to start."""
    starting_ns = sum(
        look.to_ns - look.from_ns
        for look in interval.looks
        if look.sample.syscall in NOT_WAITING
        and any((PurePath(f.file).name, f.function) == STARTING for f in look.sample.stack[-STARTING_DEPTH:])
    )
    return starting_ns * 2 > interval.held_ns


def _waits(other: OtherThread) -> bool:
    # Threads wait in a futex for the GIL and for every lock. One that kept the GIL until it was looked at has
    # made no progress since, but waits for it with a time limit; any other without progress waits for a lock.
    if other.syscall in ("futex", FUTEX_WITH_LIMIT):
        leaf = other.stack[-1].function.rpartition(".")[2] if other.stack else ""
        idle = other.used_ns < PROGRESS_NS and other.syscall == "futex"
        return idle or leaf in WAITING_FUNCTIONS
    return other.syscall not in ("", "running")


def _used_ns(others: Sequence[OtherThread]) -> int:
    return sum(other.used_ns for other in others)
