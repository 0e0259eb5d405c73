"""Samples executors' threads, and loops outside the main thread, from a thread.

These samples are biased: this thread gets the GIL when another releases it, so calls that release it are
sampled too often. The record marks them (`Sampled.way`).
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.process import collection
from ..hooks.state.thread_state import current_frames
from ..loop.turns import Turns
from ..tasks import identity
from .buffer import SampleBuffer, sample_context
from .executor_work import ExecutorWork

# A thread reaches no higher rate, and each sample takes the GIL from another thread.
MOST_HZ = 100.0
EMPTY_SAMPLES = 100


class ThreadSampler:
    """Samples while executors work or loops are added; sleeps otherwise."""

    def __init__(self, buffer: SampleBuffer, on_error: Callable[[str, BaseException], None]) -> None:
        self._buffer = buffer
        self._on_error = on_error
        self._every_s = 1 / MOST_HZ
        self._loops: dict[int, tuple[str, Turns]] = {}
        self._executors = ExecutorWork(self._wake)
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        self._is_awake = False
        self._is_started = False

    def watch_executors(self, hz: float) -> None:
        """Sample the threads of executors while they work."""
        self._every_s = 1 / min(hz, MOST_HZ)
        self._executors.install()
        if not self._is_started:
            self._is_started = True
            Background(self._run, spares=True)

    def add(self, turns: Turns, name: str) -> None:
        """Sample the loop that runs in this thread, which is named *name*."""
        self._loops[turns.thread_ident] = (name, turns)
        self._wake()

    def remove(self, turns: Turns) -> None:
        """Stop sampling that loop."""
        self._loops.pop(turns.thread_ident, None)

    def close(self) -> None:
        """Stop sampling, and end the thread."""
        self._loops.clear()
        self._executors.remove()
        self._executors.running.clear()
        self._wakeups.put(False)

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._wakeups.put(True)

    def _run(self) -> None:
        while collection.next_of(self._wakeups):
            self._sample_for_a_while()

    def _sample_for_a_while(self) -> None:
        sampled_ns, empty = monotonic_ns(), 0
        # Goes on for a while without work: sampling that begins with the work would miss all short work.
        while empty < EMPTY_SAMPLES:
            collection.sleep(self._every_s)
            # First, before this thread releases the GIL.
            frames, now_ns = current_frames(), monotonic_ns()
            count = max(1, round((now_ns - sampled_ns) / 1e9 / self._every_s))
            sampled_ns = now_ns
            empty = 0 if self._loops or self._executors.running else empty + 1
            try:
                self._sample(frames, now_ns, count)
            except BaseException as exc:
                self._on_error("sampler", exc)
            # At once: the thread that drops the last reference to a frame runs the finalizers.
            frames.clear()
        self._is_awake = False
        if self._loops or self._executors.running:  # since the last sample
            self._wake()

    def _sample(self, frames: dict[int, FrameType], now_ns: int, count: int) -> None:
        hz = 1 / self._every_s
        for ident, (name, turns) in list(self._loops.items()):
            frame = frames.get(ident)
            if frame is not None and turns.loop is not None and turns.running_since_s():
                task = current_task(turns.loop)
                span = identity.span_of(task) if task is not None else None
                self._buffer.stacks += 1
                self._buffer.ticks += count
                self._buffer.add(now_ns, "thread", hz, name, sample_context(task, span), frame, count)
        for ident, (name, who) in list(self._executors.running.items()):
            if (frame := frames.get(ident)) is not None:
                self._buffer.add(now_ns, "executor", hz, name, who, frame, count)
