"""Writes the `Blocked` events: when a loop is first sampled over the limit, at growing intervals while it is
late, and when the turn is over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from ...record.observation import Blocked, DelayedStep, Observation
from ...record.value import replace
from ..hooks.state.thread_state import current_frames
from ..threads import other_threads, usage
from . import step_candidates
from .gc_pauses import GcPauses
from .turns import Turns
from .watchdog import BUSY_SHARE, Stall

# Shorter delays are not reported as victims: the loop's own bookkeeping takes about as long.
LEAST_DELAY_NS = 1_000_000


class BlockWriter:
    """Writes the blocks of the loops of one lane."""

    def __init__(self, number: int, collector: GcPauses, write: Callable[[Observation], object]) -> None:
        self._number = number
        self._collector = collector
        self._write = write

    def seen(self, turns: Turns, stall: Stall, now_ns: int) -> None:
        """Called while the loop is late, so that a process that is then killed has named its block.

        On any thread.
        """
        victims: tuple[DelayedStep, ...] = ()
        total = 0
        if turns.is_looked_at:
            victims, total = stall.waiting.victims(stall.began_ns, now_ns, least_ns=LEAST_DELAY_NS)
        elif (loop := turns.loop) is not None:
            stall.waiting.scan_timers(loop, now_ns)
            with suppress(OSError, ValueError):  # the loop is closing its selector
                stall.waiting.scan_files(turns.ready_files(elsewhere=True), stall.began_ns, now_ns)
            victims, total = stall.waiting.victims(stall.began_ns, now_ns, least_ns=LEAST_DELAY_NS)
        event = self._blocked(stall, now_ns, ended=False, victims=victims, victims_total=total)
        if stall.is_over:
            return  # the loop's thread has written it, with its real end
        self._write(event)

    def overslept(self, turns: Turns, stall: Stall, woke_ns: int) -> None:
        """Called on the loop's thread when it has woken up late, before any callback has run."""
        stall.woke_ns, stall.woke_queued_ns = woke_ns, turns.queued_ns()
        if turns.loop is not None and not turns.is_looked_at:
            stall.waiting.scan_timers(turns.loop, woke_ns)
            stall.waiting.scan_files(turns.ready_files(), stall.began_ns, woke_ns)
        _note_other_threads(turns, stall, woke_ns)

    def ended(self, turns: Turns, stall: Stall, ended_ns: int) -> int:
        """Called on the loop's thread after a late turn, before the callbacks that waited have run.

        Returns:
            The number of callbacks that waited.
        """
        whole_queued_ns = turns.queued_ns()
        _note_other_threads(turns, stall, ended_ns)
        victims: tuple[DelayedStep, ...] = ()
        total = 0
        if turns.loop is not None:
            if not turns.is_looked_at:  # else the callbacks that waited may run by now
                stall.waiting.scan_ready(turns.loop, ended_ns)
                stall.waiting.scan_timers(turns.loop, ended_ns)
                stall.waiting.scan_files(turns.ready_files(), stall.began_ns, ended_ns)
            victims, total = stall.waiting.victims(stall.began_ns, ended_ns, least_ns=LEAST_DELAY_NS)
        event = self._blocked(stall, ended_ns, ended=True, victims=victims, victims_total=total)
        if turns.loop is not None and not any(sample.task for sample in event.samples):
            event = replace(event, candidates=step_candidates.of_turn(turns.loop))
        marked_ns, marked_cpu_ns = turns.marked
        self._write(
            replace(
                event,
                whole_cpu_ns=turns.thread_cpu_ns() - marked_cpu_ns,
                whole_ns=ended_ns - marked_ns,
                whole_queued_ns=whole_queued_ns,
            )
        )
        return total

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
        if stall.usage is not None and (now := usage.usage(stall.native_thread_id)) is not None:
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
            woke_queued_ns=stall.woke_queued_ns,
            watcher_queued_ns=stall.watcher_queued_ns,
            others=other_threads.since(stall.others or {}),
            queue=stall.kinds,
            pauses=self._collector.between(stall.began_ns, ended_ns),
        )


def _note_other_threads(turns: Turns, stall: Stall, now_ns: int) -> None:
    """Sample the other threads, if the watchdog had no chance to.

    A thread that held the GIL has lost it to this one just now, and is still at the same line.
    """
    if stall.others is None:
        stacks = other_threads.stacks(current_frames(), turns.thread_ident)
        stall.others = other_threads.busy(stacks, (now_ns - stall.began_ns) // BUSY_SHARE)
