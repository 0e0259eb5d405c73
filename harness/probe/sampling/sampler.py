"""Samples the loop at a steady rate: which line runs, in which task and span.

A timer's signal triggers each sample. Python runs its handler on the loop's own thread, between two
instructions, so the stack, the running task and the current context belong together. A thread that
samples runs when the loop releases the GIL, and finds mostly calls that do so. A tick during a call in C is
handled when the call returns, and stands for all the ticks that were missed.

The ticks stop while the loop waits: the first tick that finds it waiting stops them, and so does each wait
from then on, for as long as the waits are long. So a loop with many short waits does not pay for stopping,
and an idle loop does not pay for ticks. Python handles signals in the main thread only; loops in other
threads are sampled by a thread (`thread_sampler.py`).
"""

from __future__ import annotations

import signal
import threading
from asyncio import AbstractEventLoop, current_task
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from ...record.clock import monotonic
from ...record.observation import Observation, SamplesCounted
from ..feature import Feature
from ..hooks.hook import Hook
from ..hooks.runtime import resume_opcode
from ..hooks.state import loop_state
from ..loop.turns import Turns
from ..tasks import identity
from .buffer import SampleBuffer, sample_context
from .interval_timer import IntervalTimer, free_signal
from .thread_sampler import ThreadSampler

if TYPE_CHECKING:
    from ..session import ProbeSession

# If the program has used `add_signal_handler`, each signal's number is written to a pipe that wakes the loop.
# The pipe holds fewer than 300; a signal that does not fit is lost, even the program's own. So a turn gets
# DENSE ticks at the full rate, then one each time it has become longer by the factor 1 + THINNED.
DENSE, THINNED = 64, 1 / 24
RESUME = resume_opcode()
# Stopping and resuming costs a few ticks, and pays for waits longer than this share of an interval.
LONG_WAIT = 0.25
# The first tick after a wait must be at a random time; steps of the golden ratio cover an interval evenly.
GOLDEN = 0.6180339887498949


class Sampler(Feature):
    """Samples the loops of this process between `begin` and `end`."""

    def __init__(
        self,
        hz: float,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """*write* is called about once a second with the collected samples, in the sampler's own thread."""
        self._hz = hz
        self._buffer = SampleBuffer(hz, write)
        self._thread_sampler = ThreadSampler(self._buffer, on_error)
        self._signal_sampler: _SignalSampler | None = None
        self._on_error = on_error

    def turns_begin(self, turns: Turns, number: int) -> None:
        self.begin(turns)

    def begin(self, turns: Turns) -> None:
        """Sample the loop of these turns, and the work of executors.

        To be called on the loop's thread, like `end`.

        Raises:
            RuntimeError: Another sampler samples this loop.
        """
        if turns.sampler is self:
            return
        if turns.sampler is not None:
            raise RuntimeError("another sampler samples this loop")
        turns.sampler = self
        self._thread_sampler.watch_executors(self._hz)
        if threading.current_thread() is threading.main_thread():
            try:
                self._signal_sampler = self._signal_sampler or _SignalSampler(self._buffer)
                self._signal_sampler.start(turns, self._hz)
                return
            except OSError as exc:  # not Linux, or every signal is taken
                self._on_error("sampler", exc)
        self._thread_sampler.add(turns, threading.current_thread().name)

    def end(self, turns: Turns) -> None:
        """Stop sampling the loop of these turns."""
        if turns.sampler is not self:
            return
        turns.sampler = None
        if self._signal_sampler is not None and self._signal_sampler.turns is turns:
            self._signal_sampler.stop()
        else:
            self._thread_sampler.remove(turns)

    turns_end = end

    def counted(self) -> SamplesCounted:
        """The totals so far."""
        return self._buffer.counted()

    def flush(self) -> None:
        """Write the collected samples."""
        self._buffer.flush()

    def stop(self) -> None:
        """Stop all signals and samples for good."""
        if self._signal_sampler is not None:
            self._signal_sampler.close()
            self._signal_sampler = None
        self._thread_sampler.close()

    def close(self) -> None:
        """Stop, and write what is left."""
        self.stop()
        self._buffer.close()

    leave = close

    def abandon(self) -> None:
        # A child after `fork` inherits the signal's handler, but no timer and no thread.
        if self._signal_sampler is not None:
            self._signal_sampler.release()
            self._signal_sampler.timer.abandon()
            self._signal_sampler = None
        self._thread_sampler.close()

    def cost(self) -> dict[str, int]:
        return {"sampler_ns": self.counted().cost_ns}


def create(session: ProbeSession) -> Feature:
    return Sampler(session.config.sample_hz, session.write, session.failed)


class _SignalSampler:
    """Samples the main thread by the signals of a timer.

    Raises:
        OSError: The system has no such timers, or no signal is free.
    """

    def __init__(self, buffer: SampleBuffer) -> None:
        self.turns: Turns | None = None
        self._buffer = buffer
        self._hook = Hook("sampler")
        self._hook.when_undone(self.close)
        self._is_closed = False
        self._number = free_signal()
        self.timer = IntervalTimer(self._number, threading.get_native_id())
        signal.signal(self._number, self._tick)
        # The system restarts interrupted system calls of libraries where it can; Python restarts its own.
        signal.siginterrupt(self._number, False)
        self._thread = threading.current_thread().name
        self._every_s = 0.0
        self._due_s = 0.0  # of the next tick
        self._phase = 0.0
        self._is_own_wake = False
        self._waits_since_s = 0.0
        self._turn_s = 0.0  # when the turn of the latest tick began
        self._ticks_in_turn = 0
        self._is_thinned = False
        self._is_ticking = False

    def start(self, turns: Turns, hz: float) -> None:
        """Sample the loop of these turns, which runs or is about to run; nothing after an error."""
        if self._is_closed:
            return
        self.turns = turns
        self._every_s = 1 / hz
        self._is_own_wake = False
        self._resume(monotonic())

    def stop(self) -> None:
        """Stop sampling."""
        self.timer.stop()
        if self.turns is not None:
            self.turns.on_wait = self.turns.on_wake = None
        self.turns = None

    def close(self) -> None:
        """Delete the timer, and release the signal."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # First, for a signal that finds no handler ends the process.
            signal.signal(self._number, signal.SIG_IGN)
            self.stop()
        finally:
            self.timer.close()
        self.release()

    def release(self) -> None:
        """Release the signal."""
        # Ignoring a signal discards one that is pending, which would end the process otherwise.
        signal.signal(self._number, signal.SIG_IGN)
        signal.signal(self._number, signal.SIG_DFL)

    def _resume(self, now_s: float) -> None:
        """Begin to tick, at a time that does not depend on the current event."""
        self._phase = (self._phase + GOLDEN) % 1
        self._schedule(now_s, now_s + self._phase * self._every_s)

    def _schedule(self, now_s: float, due_s: float) -> None:
        self._due_s = due_s
        self.timer.start(max(1, int((due_s - now_s) * 1e9)), int(self._every_s * 1e9))

    def _about_to_wait(self, now_s: float) -> None:
        """Called in the loop's `select`, before it waits: stop the ticks until it wakes up."""
        self._waits_since_s = now_s
        self.timer.stop()
        if self.turns is not None:
            self.turns.on_wake = self._awake

    def _awake(self, now_s: float) -> None:
        """Called in the loop's `select`, after a wait: resume the ticks."""
        if self._is_own_wake:
            self._is_own_wake = False
        elif self.turns is not None:
            is_long = now_s - self._waits_since_s > self._every_s * LONG_WAIT
            self.turns.on_wait = self._about_to_wait if is_long else None
            self.turns.on_wake = None
            self._resume(now_s)

    def _tick(self, _number: int, frame: FrameType | None) -> None:
        """The signal handler. It calls no code of the program, and takes no lock."""
        try:
            if not self._is_ticking:
                self._is_ticking = True
                self._sample(frame)
                self._is_ticking = False
        except BaseException as exc:
            self._is_ticking = False
            # The program's own signal handler may have interrupted this one and raised: pass that on.
            if not self._hook.caught(exc):
                raise
            self._buffer.lost += 1

    def _sample(self, frame: FrameType | None) -> None:
        turns, now_s = self.turns, monotonic()
        if turns is None or frame is None or self._came_while_waiting(frame):
            return
        turn_s = turns.running_since_s()
        if not turn_s:
            self.timer.stop()
            # Then this tick's signal itself wakes the loop. The turn that begins with it gets no samples.
            self._is_own_wake = _wakes(turns.loop)
            self._waits_since_s = 0.0  # a wait that a tick interrupts counts as long
            turns.on_wake = self._awake
            return
        count = self._ticks(turn_s, now_s)
        if not count:
            return
        buffer = self._buffer
        buffer.stacks += 1
        buffer.ticks += count
        who = sample_context(current_task(turns.loop), identity.running_span())
        buffer.add(int(now_s * 1e9), "signal", 1 / self._every_s, self._thread, who, frame, count)
        buffer.cost_ns += int((monotonic() - now_s) * 1e9)

    def _came_while_waiting(self, frame: FrameType) -> bool:
        """Whether the tick found a loop waiting that is only looked at: no Python code has run since."""
        runner = self.turns.runner() if self.turns is not None else None
        if runner is None or (caller := frame.f_back) is None:
            return False
        if frame.f_code is runner:
            return True
        return caller.f_code is runner and frame.f_code.co_code[frame.f_lasti] == RESUME

    def _ticks(self, turn_s: float, now_s: float) -> int:
        """The number of ticks that were due in this turn since the last one that was handled.

        Ticks that were due before this turn count as lost: it is not known what ran at those times.
        """
        every_s, due_s = self._every_s, self._due_s
        if due_s < turn_s:
            missed = int((turn_s - due_s) / every_s) + 1
            self._buffer.lost += missed
            due_s += missed * every_s
        count = max(0, int((now_s - due_s) / every_s) + 1)
        self._due_s = due_s + count * every_s
        self._thin_out(turn_s, now_s)
        return count

    def _thin_out(self, turn_s: float, now_s: float) -> None:
        if turn_s != self._turn_s:
            self._turn_s, self._ticks_in_turn = turn_s, 0
            if self._is_thinned:
                self._is_thinned = False
                self._schedule(now_s, self._due_s)
        self._ticks_in_turn += 1
        if self._ticks_in_turn > DENSE and self.turns is not None and _wakes(self.turns.loop):
            self._is_thinned = True
            left_out_s = (now_s - turn_s) * THINNED // self._every_s * self._every_s
            in_s = self._due_s - now_s + left_out_s
            self.timer.start(max(1, int(in_s * 1e9)), int(self._every_s * 1e9))


def _wakes(loop: AbstractEventLoop | None) -> bool:
    """Whether signals wake this loop; assumed of loops that do not show their handlers."""
    return loop_state.signal_handlers(loop) != {}
