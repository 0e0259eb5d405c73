"""Samples that one thread takes of others: of executors at work, and of loops that no signal can reach.

They are biased: the thread that looks gets the GIL when another lets go of it, so calls that do so are seen
too often. Whatever they see says so (`Sampled.way`).
"""

from __future__ import annotations

import sys
import time
from asyncio import current_task
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ..loop.turns import Turns
from ..tasks import identity
from .buffer import SampleBuffer, sample_context
from .executor_work import ExecutorWork

# From beside no more is reached, and each look takes the GIL from somebody.
MOST_HZ = 100.0
EMPTY_LOOKS = 100


class ThreadSampler:
    """Looks while there is something to look at; sleeps otherwise."""

    def __init__(self, tally: SampleBuffer, on_error: Callable[[str, BaseException], None]) -> None:
        self._tally = tally
        self._on_error = on_error
        self._every_s = 1 / MOST_HZ
        self._loops: dict[int, tuple[str, Turns]] = {}
        self._workers = ExecutorWork(self._ring)
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._is_awake = False
        self._is_started = False

    def watch_executors(self, hz: float) -> None:
        """Look at the threads of executors while they work."""
        self._every_s = 1 / min(hz, MOST_HZ)
        self._workers.install()
        if not self._is_started:
            self._is_started = True
            Background(self._run)

    def add(self, turns: Turns, name: str) -> None:
        """Look at the loop that runs in this thread, whose name that is."""
        self._loops[turns.thread_ident] = (name, turns)
        self._ring()

    def remove(self, turns: Turns) -> None:
        """Look at that loop no more."""
        self._loops.pop(turns.thread_ident, None)

    def close(self) -> None:
        """Look at nobody any more."""
        self._loops.clear()
        self._workers.remove()
        self._workers.running.clear()
        self._bell.put(False)

    def _ring(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._bell.put(True)

    def _run(self) -> None:
        while self._bell.get():
            looked_ns, empty = monotonic_ns(), 0
            # On for a while when there is nothing: looks that began with the work would all miss short work.
            while empty < EMPTY_LOOKS:
                time.sleep(self._every_s)
                # First of all, while the GIL is still here.
                frames, now_ns = sys._current_frames(), monotonic_ns()
                count = max(1, round((now_ns - looked_ns) / 1e9 / self._every_s))
                looked_ns = now_ns
                empty = 0 if self._loops or self._workers.running else empty + 1
                try:
                    self._look(frames, now_ns, count)
                except Exception as exc:
                    self._on_error("sampler", exc)
                # Not held any longer: who drops a frame last runs the finalizers of what it held.
                frames.clear()
            self._is_awake = False
            if self._loops or self._workers.running:  # since the last look
                self._ring()

    def _look(self, frames: dict[int, FrameType], now_ns: int, count: int) -> None:
        hz = 1 / self._every_s
        for ident, (name, turns) in list(self._loops.items()):
            frame = frames.get(ident)
            if frame is not None and turns.loop is not None and turns.running_since_s():
                task = current_task(turns.loop)
                span = identity.span_of(task) if task is not None else None
                self._tally.looks += 1
                self._tally.ticks += count
                self._tally.add(now_ns, "thread", hz, name, sample_context(task, span), frame, count)
        for ident, (name, who) in list(self._workers.running.items()):
            frame = frames.get(ident)
            if frame is not None:
                self._tally.add(now_ns, "executor", hz, name, who, frame, count)
