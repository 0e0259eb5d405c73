"""Collects samples in memory and writes them to the record about once a second.

A signal handler calls `add`: it takes no lock, calls none of the program's code, and only counts. A thread
of the buffer makes the events for the record.
"""

from __future__ import annotations

import os
import threading
from asyncio import Task
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from types import CodeType, FrameType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import Frame, FrameTable, Observation, Sampled, SamplesCounted
from ...record.process import collection
from ..hooks.executor_hook import RUN_WORK_ITEM
from ..hooks.state.loop_state import RUN_ONCE
from ..tasks import identity
from ..threads.stack import DEPTH, frame_at

# A killed process loses at most the samples of this time.
FLUSH_EVERY_S = 1.0
# Most distinct samples between two flushes, and most numbered calls: both bound the memory.
KEPT, NUMBERED = 10_000, 50_000
# Most times kept of one stack between two flushes; further samples are only counted.
TIMED = 100
# The frames around a turn, and around an executor's work, are the same in every sample, so they are left out.
TURN, WORK = RUN_ONCE, RUN_WORK_ITEM


@dataclass(slots=True, eq=False, repr=False)
class SampleContext:
    """The task that a thread works for, by its names, and the current span."""

    task: str = ""
    coroutine: str = ""
    span: Any = None


@dataclass(slots=True, eq=False, repr=False)
class _Entry:
    at_ns: int
    way: str
    hz: float
    thread: str
    who: SampleContext
    codes: list[CodeType]  # innermost first, as are the offsets
    offsets: list[int]
    count: int
    times: list[int]  # for each sample, its time and the number of ticks that it stands for


class SampleBuffer:
    """The samples of one process. A sampler of loops also updates `stacks`, `ticks`, `lost` and `cost_ns`."""

    def __init__(self, hz: float, write: Callable[[Observation], object]) -> None:
        self._hz = hz
        self.stacks = self.ticks = self.lost = self.cost_ns = 0
        self._write = write
        self._seen: dict[tuple[object, ...], _Entry] = {}
        self._calls = _FrameNumbers()
        # Its `put` is reentrant, which a lock is not: a signal handler may interrupt it.
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        self._is_awake = False
        self._flush_lock = threading.Lock()
        self._is_closed = False
        Background(self._flush_periodically, spares=True)

    def add(
        self,
        at_ns: int,
        way: str,
        hz: float,
        thread: str,
        who: SampleContext,
        frame: FrameType | None,
        count: int,
    ) -> None:
        """Count one sample of the stack that ends in *frame*; it stands for *count* ticks."""
        codes: list[CodeType] = []
        offsets: list[int] = []
        while frame is not None and len(codes) < DEPTH:
            code = frame.f_code
            if codes and (code is TURN or code is WORK):
                break
            codes.append(code)
            offsets.append(frame.f_lasti)
            frame = frame.f_back
        # Ids, because hashing a code takes longer than everything else. The entry keeps the objects alive.
        key = (way, thread, who.task, id(who.span), *map(id, codes), *offsets)
        if (entry := self._seen.get(key)) is not None:
            entry.count += count
            if len(entry.times) < 2 * TIMED:
                entry.times += (at_ns, count)
        elif len(self._seen) < KEPT:
            self._seen[key] = _Entry(at_ns, way, hz, thread, who, codes, offsets, count, [at_ns, count])
        else:
            self.lost += count
        if not self._is_awake:
            self._is_awake = True
            self._wakeups.put(True)

    def flush(self) -> None:
        """Write the collected samples to the record."""
        with self._flush_lock:
            seen, self._seen = self._seen, {}
            self._is_awake = False
            # Copied at once: a signal handler that was interrupted may still add to the old dictionary.
            events = [event for entry in list(seen.values()) if (event := self._event(entry)) is not None]
            if (new := self._calls.take_new()) is not None:
                self._write(new)
            for event in events:
                self._write(event)
            if self.stacks or self.lost:
                self._write(self.counted())

    def counted(self) -> SamplesCounted:
        """The totals so far."""
        return SamplesCounted(
            at_ns=monotonic_ns(),
            pid=os.getpid(),
            hz=self._hz,
            stacks=self.stacks,
            ticks=self.ticks,
            lost=self.lost,
            cost_ns=self.cost_ns,
        )

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._is_closed = True
        self._wakeups.put(True)
        self.flush()

    def _flush_periodically(self) -> None:
        while collection.next_of(self._wakeups) and not self._is_closed:
            collection.sleep(FLUSH_EVERY_S)
            self.flush()

    def _event(self, entry: _Entry) -> Sampled | None:
        stack = 0
        for code, offset in zip(reversed(entry.codes), reversed(entry.offsets), strict=True):
            stack = self._calls.number(stack, code, offset)
            if not stack:
                self.lost += entry.count
                return None
        span = identity.of_span(entry.who.span)
        return Sampled(
            at_ns=entry.at_ns,
            pid=os.getpid(),
            thread=entry.thread,
            way=entry.way,
            hz=entry.hz,
            stack=stack,
            count=entry.count,
            task=entry.who.task,
            coroutine=entry.who.coroutine,
            span=span.span,
            trace_id=span.trace_id,
            span_id=span.span_id,
            offsets=_since(entry.at_ns, entry.times),
        )


class _FrameNumbers:
    """The calls of all stacks, as a tree of numbered nodes."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Frame], int] = {}
        # Keyed by the fields of a sample. The code is kept alive, so that its id is not reused.
        self._by_offset: dict[tuple[int, int, int], tuple[CodeType, int]] = {}
        self._written = 0

    def number(self, caller: int, code: CodeType, offset: int) -> int:
        """The number of a call, 0 if there is no more room."""
        if (known := self._by_offset.get((caller, id(code), offset))) is not None:
            return known[1]
        if len(self._by_offset) >= NUMBERED:
            return 0
        number = self._numbers.setdefault((caller, frame_at(code, offset)), len(self._numbers) + 1)
        self._by_offset[caller, id(code), offset] = (code, number)
        return number

    def take_new(self) -> FrameTable | None:
        """The calls that were numbered since the last call; `None` if there are none."""
        new = tuple(islice(self._numbers, self._written, None))
        if not new:
            return None
        seen = FrameTable(
            at_ns=monotonic_ns(),
            pid=os.getpid(),
            first=self._written + 1,
            callers=tuple(caller for caller, _ in new),
            frames=tuple(frame for _, frame in new),
        )
        self._written += len(new)
        return seen


def sample_context(task: Task[Any] | None, span: Any) -> SampleContext:
    """The names of *task*, if there is one, and *span*."""
    if task is None:
        return SampleContext(span=span)
    return SampleContext(task.get_name(), identity.name_of(task.get_coro()), span)


def _since(first_ns: int, times: list[int]) -> tuple[int, ...]:
    """The times of an entry's samples, relative to the first, as in `Sampled`; () for a single sample."""
    if len(times) == 2:
        return ()
    return tuple(number if index % 2 else (number - first_ns) // 1000 for index, number in enumerate(times))
