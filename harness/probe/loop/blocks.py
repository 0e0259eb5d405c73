"""Turns a late loop into `Blocked` events: when it is first seen over the limit, and when it is over."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from time import thread_time_ns

from ...record.clock import monotonic_ns
from ...record.observation import Blocked, DelayedStep, Observation
from ...record.value import replace
from ..threads import other_threads, usage
from . import step_candidates
from .gc_pauses import GcPauses
from .turns import Turns
from .watchdog import BUSY_SHARE, Stall

# Who was late by less than this was not hurt; the rest of a loop's bookkeeping takes about as long.
LEAST_DELAY_NS = 1_000_000


class BlockWriter:
    """Writes the blocks of the loops of one lane."""

    def __init__(self, number: int, collector: GcPauses, write: Callable[[Observation], object]) -> None:
        self._number = number
        self._collector = collector
        self._write = write

    def seen(self, stall: Stall) -> None:
        """A loop is late and still is: a process that is killed now has named its block."""
        self._write(self._blocked(stall, monotonic_ns(), ended=False))

    def overslept(self, turns: Turns, stall: Stall, woke_ns: int) -> None:
        """The loop has woken up late; on its thread, before any callback has run."""
        stall.woke_ns = woke_ns
        if turns.loop is not None:
            stall.waiting.look_at_timers(turns.loop, woke_ns)
            stall.waiting.look_at_files(turns.ready_files(), stall.began_ns)
        _look_around(stall, woke_ns)

    def ended(self, turns: Turns, stall: Stall, ended_ns: int) -> None:
        """A late turn has ended; on the loop's thread, before the callbacks that waited are run."""
        _look_around(stall, ended_ns)
        victims: tuple[DelayedStep, ...] = ()
        total = 0
        if turns.loop is not None:
            stall.waiting.look(turns.loop, ended_ns)
            stall.waiting.look_at_timers(turns.loop, ended_ns)
            stall.waiting.look_at_files(turns.ready_files(), stall.began_ns)
            victims, total = stall.waiting.victims(stall.began_ns, ended_ns, least_ns=LEAST_DELAY_NS)
        event = self._blocked(stall, ended_ns, ended=True, victims=victims, victims_total=total)
        if turns.loop is not None and not any(sample.task for sample in event.samples):
            event = replace(event, suspects=step_candidates.of_turn(turns.loop))
        marked_ns, marked_cpu_ns = turns.marked
        self._write(
            replace(event, whole_cpu_ns=thread_time_ns() - marked_cpu_ns, whole_ns=ended_ns - marked_ns)
        )

    def _blocked(
        self,
        stall: Stall,
        ended_ns: int,
        *,
        ended: bool,
        victims: tuple[DelayedStep, ...] = (),
        victims_total: int = 0,
    ) -> Blocked:
        cpu_ns = queued_ns = watched_ns = None
        if stall.usage is not None:
            now = usage.usage(stall.native_thread_id)
            if now is not None:
                cpu_ns = now.cpu_ns - stall.usage.cpu_ns
                queued_ns = now.queued_ns - stall.usage.queued_ns
                watched_ns = ended_ns - stall.first_ns
        return Blocked(
            at_ns=stall.began_ns,
            held_ns=ended_ns - stall.began_ns,
            ended=ended,
            pid=os.getpid(),
            loop=self._number,
            samples=stall.named_samples(),
            victims=victims,
            victims_total=victims_total,
            cpu_ns=cpu_ns,
            queued_ns=queued_ns,
            watched_ns=watched_ns,
            woke_ns=stall.woke_ns,
            others=other_threads.since(stall.others or {}),
            queue=stall.kinds,
            pauses=self._collector.between(stall.began_ns, ended_ns),
        )


def _look_around(stall: Stall, now_ns: int) -> None:
    """Note the other threads, if the watchdog had no chance to.

    Whoever held the GIL has lost it to this thread just now, and still stands where it was.
    """
    if stall.others is None:
        stacks = other_threads.stacks(sys._current_frames(), threading.get_ident())
        stall.others = other_threads.busy(stacks, (now_ns - stall.began_ns) // BUSY_SHARE)
