"""Takes a sample of the loop at a steady rate: which line runs, in which task, in which span.

A timer's signal, for Python runs its handler on the loop's own thread, between two instructions: the stack,
the running task and the current context are at hand there, and are of the same moment. A thread that looks
from beside gets to look when the loop lets go of the GIL, and sees mostly the calls that do so. A tick that
comes in the middle of a call in C is handled when the call returns, and counts for all that it has missed.

The ticks stop while the loop waits: with the first one that finds it so, and from then on before each wait as
long as these are long. So neither a loop that waits often pays for its waits, nor an idle one for the ticks.
Python can handle signals in the main thread alone: loops elsewhere are looked at from beside (`glances.py`).
"""

from __future__ import annotations

import signal
import sys
import threading
from asyncio import AbstractEventLoop, current_task
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from ...record.clock import monotonic
from ...record.observation import Observation, SamplesCounted
from ..feature import Feature
from ..hooks import loop_state
from ..hooks.runtime import resume_opcode
from ..loop.turns import Turns
from ..tasks import identity
from .buffer import SampleBuffer, sample_context
from .interval_timer import IntervalTimer, free_signal
from .thread_sampler import ThreadSampler

if TYPE_CHECKING:
    from ..session import ProbeSession

# Once a program has a signal handler of the loop's, each signal's number is written into a pipe, to wake the
# loop. The pipe takes less than 300, and one that does not fit is lost, be it the program's own signal. So a
# turn gets so many ticks at the full rate, then one each time it has become longer by such a part.
DENSE, THINNED = 64, 1 / 24
RESUME = resume_opcode()
# To stop and go on costs as much as some ticks: worth it for waits of this part of the time between two.
LONG_WAIT = 0.25
# Steps of the golden ratio fill an interval evenly; the first tick after a wait must come at a random time.
GOLDEN = 0.6180339887498949
# The package of every module of the probe, or a prefix of it.
_PROBE = (__package__ or "").rpartition(".")[0]


class Sampler(Feature):
    """Samples the loops of this process while it is begun."""

    def __init__(
        self,
        hz: float,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """*write* takes the samples, gathered over a second or so, in a thread of the sampler's own."""
        self._hz = hz
        self._tally = SampleBuffer(hz, write)
        self._glances = ThreadSampler(self._tally, on_error)
        self._pulse: _SignalSampler | None = None
        self._on_error = on_error

    def turns_begin(self, turns: Turns, number: int) -> None:
        self.begin(turns)

    def turns_end(self, turns: Turns) -> None:
        self.end(turns)

    def begin(self, turns: Turns) -> None:
        """Take samples of the loop that runs in this thread, and of the executors that work for it.

        To be called on that thread; so is `end`.

        Raises:
            RuntimeError: Another sampler does that already.
        """
        if turns.sampler is self:
            return
        if turns.sampler is not None:
            raise RuntimeError("samples of this loop are taken already")
        turns.sampler = self
        self._glances.watch_executors(self._hz)
        if threading.current_thread() is threading.main_thread():
            try:
                self._pulse = self._pulse or _SignalSampler(self._tally, self._on_error)
                self._pulse.start(turns, self._hz)
                return
            except OSError as exc:  # not Linux, or every signal is taken
                self._on_error("sampler", exc)
        self._glances.add(turns, threading.current_thread().name)

    def end(self, turns: Turns) -> None:
        """The loop has stopped, or nobody wants to know of it any more."""
        if turns.sampler is not self:
            return
        turns.sampler = None
        if self._pulse is not None and self._pulse.turns is turns:
            self._pulse.stop()
        else:
            self._glances.remove(turns)

    def counted(self) -> SamplesCounted:
        """What was reached so far."""
        return self._tally.counted()

    def tell(self) -> None:
        """Write what was gathered."""
        self._tally.tell()

    def stop(self) -> None:
        """Send no more signals, at once and for good."""
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None
        self._glances.close()

    def leave(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and write what is left."""
        self.stop()
        self._tally.close()

    def abandon(self) -> None:
        # A child after `fork` has inherited no timer and no thread, but the signal's handler.
        if self._pulse is not None:
            self._pulse.abandon()
            self._pulse = None
        self._glances.close()

    def cost(self) -> dict[str, int]:
        return {"sampler_ns": self.counted().cost_ns}


def create(session: ProbeSession) -> Feature:
    return Sampler(session.config.sample_hz, session.write, session.failed)


class _SignalSampler:
    """The ticks of the main thread, and what they see.

    Raises:
        OSError: There are no such timers here, or no signal is free.
    """

    def __init__(self, tally: SampleBuffer, on_error: Callable[[str, BaseException], None]) -> None:
        self.turns: Turns | None = None
        self._tally = tally
        self._on_error = on_error
        self._number = free_signal()
        self._ticker = IntervalTimer(self._number, threading.get_native_id())
        signal.signal(self._number, self._tick)
        # A library's system call goes on by itself, where the system can do that; Python's own always do.
        signal.siginterrupt(self._number, False)
        self._thread = threading.current_thread().name
        self._every_s = 0.0
        self._due_s = 0.0  # when the next tick is
        self._phase = 0.0
        self._is_own_wake = False
        self._waits_since_s = 0.0
        self._turn_s = 0.0  # the turn of the latest tick, by its beginning
        self._ticks_in_turn = 0
        self._is_thinned = False
        self._is_ticking = False
        self._runner: CodeType | None = None  # of a loop that has no selector in Python

    def start(self, turns: Turns, hz: float) -> None:
        """Tick for the loop that is about to run, or runs."""
        self.turns = turns
        self._every_s = 1 / hz
        self._is_own_wake = False
        self._runner = None if loop_state.has_selector(turns.loop) else _runner()
        self._go_on(monotonic())

    def stop(self) -> None:
        """Tick no more."""
        self._ticker.stop()
        if self.turns is not None:
            self.turns.on_wait = self.turns.on_wake = None
        self.turns = None

    def close(self) -> None:
        """Give the timer and the signal back."""
        self.stop()
        self._ticker.close()
        self.abandon()

    def abandon(self) -> None:
        """Give the signal back."""
        # Ignoring a signal discards one that is pending, which would end the process otherwise.
        signal.signal(self._number, signal.SIG_IGN)
        signal.signal(self._number, signal.SIG_DFL)

    def _go_on(self, now_s: float) -> None:
        """Begin to tick, at a time that has nothing to do with what happens now."""
        self._phase = (self._phase + GOLDEN) % 1
        self._schedule(now_s, now_s + self._phase * self._every_s)

    def _schedule(self, now_s: float, due_s: float) -> None:
        self._due_s = due_s
        self._ticker.start(max(1, int((due_s - now_s) * 1e9)), int(self._every_s * 1e9))

    def _about_to_wait(self, now_s: float) -> None:
        """Stop until the loop is awake again; in its `select`, as the next one."""
        self._waits_since_s = now_s
        self._ticker.stop()
        if self.turns is not None:
            self.turns.on_wake = self._awake

    def _awake(self, now_s: float) -> None:
        """Go on."""
        if self._is_own_wake:
            self._is_own_wake = False
        elif self.turns is not None:
            is_long = now_s - self._waits_since_s > self._every_s * LONG_WAIT
            self.turns.on_wait = self._about_to_wait if is_long else None
            self.turns.on_wake = None
            self._go_on(now_s)

    def _tick(self, _number: int, frame: FrameType | None) -> None:
        """Handle a tick. Nothing that is called here is the program's, or takes a lock."""
        if self._is_ticking:
            return
        self._is_ticking = True
        try:
            self._look(frame)
        except Exception as exc:
            # A program's own signal handler may interrupt this one, and raise: that is none of our business.
            if not _is_ours(exc):
                raise
            self._tally.lost += 1
            self._on_error("sampler", exc)
        finally:
            self._is_ticking = False

    def _look(self, frame: FrameType | None) -> None:
        turns, now_s = self.turns, monotonic()
        if turns is None or frame is None or self._came_while_waiting(frame):
            return
        turn_s = turns.running_since_s()
        if not turn_s:
            self._ticker.stop()
            # Then the first wake-up will be this tick's own doing. A turn that begins with it has no samples.
            self._is_own_wake = _wakes(turns.loop)
            self._waits_since_s = 0.0  # long enough that a tick came
            turns.on_wake = self._awake
            return
        count = self._ticks(turn_s, now_s)
        if not count:
            return
        tally = self._tally
        tally.looks += 1
        tally.ticks += count
        who = sample_context(current_task(turns.loop), identity.running_span())
        tally.add(int(now_s * 1e9), "signal", 1 / self._every_s, self._thread, who, frame, count)
        tally.cost_ns += int((monotonic() - now_s) * 1e9)

    def _came_while_waiting(self, frame: FrameType) -> bool:
        """Whether a loop that is not timed by its selector waited: then no code of Python's has run yet."""
        runner, caller = self._runner, frame.f_back
        if runner is None or caller is None:
            return False
        if frame.f_code is runner:
            return True
        return caller.f_code is runner and frame.f_code.co_code[frame.f_lasti] == RESUME

    def _ticks(self, turn_s: float, now_s: float) -> int:
        """How many ticks were due in this turn since the last one that was handled.

        Those from before it met another turn, which is over: nobody knows any more what it did.
        """
        every_s, due_s = self._every_s, self._due_s
        if due_s < turn_s:
            missed = int((turn_s - due_s) / every_s) + 1
            self._tally.lost += missed
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
            self._ticker.start(max(1, int(in_s * 1e9)), int(self._every_s * 1e9))


def _wakes(loop: AbstractEventLoop | None) -> bool:
    """Whether signals wake this loop; what is no loop of asyncio's keeps that to itself."""
    return loop_state.signal_handlers(loop) != {}


def _runner() -> CodeType | None:
    """The function that has started the loop of this thread: the innermost outside the probe."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and _is_probes(frame):
        frame = frame.f_back
    return frame.f_code if frame is not None else None


def _is_ours(exc: BaseException) -> bool:
    """Whether it was raised by the probe."""
    step = exc.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and _is_probes(step.tb_frame)


def _is_probes(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__package__")).startswith(_PROBE)
