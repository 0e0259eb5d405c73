"""Turns a late turn into `Blocked` events: when it is first seen over the limit, and when it has ended."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import monotonic_ns

from ..record.event import Blocked, Event, Victim
from . import schedstat
from .victims import Waiting
from .watchdog import Stall

# Who was late by less than this was not hurt; the rest of a loop's bookkeeping takes about as long.
LEAST_DELAY_NS = 1_000_000


class Blocks:
    """Writes the blocks of the loops of one lane."""

    def __init__(self, number: int, write: Callable[[Event], object]) -> None:
        self._number = number
        self._write = write

    def seen(self, stall: Stall) -> None:
        """A turn is over the limit and still lasts: a process that is killed now has named its block."""
        self._write(self._blocked(stall, stall.began_ns, monotonic_ns(), ended=False))

    def ended(
        self, loop: AbstractEventLoop | None, stall: Stall | None, began_ns: int, ended_ns: int
    ) -> None:
        """A turn over the limit has ended; on the loop's thread, before the callbacks that waited are run."""
        victims: tuple[Victim, ...] = ()
        total = 0
        if loop is not None:
            waiting = stall.waiting if stall is not None else Waiting()
            waiting.look(loop, ended_ns)
            victims, total = waiting.victims(
                loop, began_ns=began_ns, ended_ns=ended_ns, least_ns=LEAST_DELAY_NS
            )
        event = self._blocked(stall, began_ns, ended_ns, ended=True, victims=victims, victims_total=total)
        self._write(event)

    def _blocked(
        self,
        stall: Stall | None,
        began_ns: int,
        ended_ns: int,
        *,
        ended: bool,
        victims: tuple[Victim, ...] = (),
        victims_total: int = 0,
    ) -> Blocked:
        cpu_ns = queued_ns = watched_ns = None
        if stall is not None and stall.usage is not None:
            usage = schedstat.read(stall.native_thread_id)
            if usage is not None:
                cpu_ns = usage.cpu_ns - stall.usage.cpu_ns
                queued_ns = usage.queued_ns - stall.usage.queued_ns
                watched_ns = ended_ns - stall.first_ns
        return Blocked(
            at_ns=began_ns,
            held_ns=ended_ns - began_ns,
            ended=ended,
            pid=os.getpid(),
            loop=self._number,
            samples=tuple(stall.samples) if stall else (),
            victims=victims,
            victims_total=victims_total,
            cpu_ns=cpu_ns,
            queued_ns=queued_ns,
            watched_ns=watched_ns,
        )
