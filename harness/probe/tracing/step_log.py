"""Logs the steps of a loop for chosen traces, and what executors do for them: the causes of each wait.

Off by default: it adds nearly half a microsecond to each step of a task. The reader interprets the log
(`read/spans/step_log.py`). Only one loop of a process is logged at a time, so that a step's state needs no
look-up.
"""

from __future__ import annotations

import os
import threading
from _thread import get_ident
from asyncio import AbstractEventLoop, BaseEventLoop, Task, current_task
from collections.abc import Callable
from functools import partial
from itertools import count
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

from ...record import packing
from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import Frame, Observation, StepLogUnavailable, StepsTaken
from ..alarm_clock import Alarm
from ..feature import Feature
from ..hooks.runtime import why_no_step_log
from ..hooks.state.span_state import span_in, span_variable
from ..hooks.step_hook import LONG_WIDTH, ROOM, WIDTH, StepHook, log_steps
from ..loop.turns import Turns
from .executor_log import ExecutorLog

if TYPE_CHECKING:
    from ..session import ProbeSession

# A killed process loses at most the log of this time.
FLUSH_EVERY_S = 0.2
# The most steps written at a time: packing them holds the GIL for a fraction of a millisecond. If there are
# more, they are taken more often, so that the log stays short.
CHUNK, HURRY_S = 4_096, 0.02
# The most functions that are numbered; further ones have no name in the log.
PLACES = 10_000
TASK_WIDTH, WORK_WIDTH, SPAN_WIDTH = 2, 6, 4
# A trace is chosen by its id. Ids may not be random, so their bits are mixed by the golden ratio.
MIX, BITS = 0x9E3779B97F4A7C15, 64
LOWER = 32


class StepLogger(Feature):
    """Logs the steps of this process and writes them to the record."""

    def __init__(
        self,
        share: float,
        for_s: float,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """Log a *share* of the traces, for *for_s* seconds after the first loop begins; 0: until the end."""
        self._share = share
        self._limit = round(share * (1 << BITS))
        self._is_chosen = self._is_of_chosen_trace if share < 1 else None
        self._for_ns, self._until_ns = int(for_s * 1e9), 0
        self._write = write
        self._on_error = on_error
        self._loop: AbstractEventLoop | None = None
        self._ident = self._loop_number = 0
        self._hook: StepHook | None = None
        self._taken = self._dropped = 0  # in loops that have stopped
        self._task_numbers = count(1)
        self._task_rows: list[int] = []
        self._span_rows: list[int] = []
        self._places: dict[tuple[int, str], tuple[int, object]] = {}
        self._coroutines: dict[str, tuple[object, int]] = {}  # the latest of each name
        self._place_numbers = count(1)
        self._new_places: list[tuple[int, Frame]] = []
        self._unavailable: set[str] = set()
        self._executors = ExecutorLog(self._submitting_step, self._place_of)
        self._cpu_ns = 0
        # Reentrant: a signal handler may end the process while this thread writes.
        self._flush_lock = threading.RLock()
        self._is_over = Alarm()
        Background(self._flush_periodically, spares=True)

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def cost(self) -> dict[str, int]:
        if not self.taken:
            return {}
        from .. import overhead

        return {"steps_ns": int(self.taken * overhead.per_step_ns())}

    @property
    def taken(self) -> int:
        """The number of steps so far, logged or not."""
        return self._hook.number() if self._hook is not None else self._taken

    def turns_begin(self, turns: Turns, number: int) -> None:
        """Log the steps of the loop of these turns."""
        loop = turns.loop
        if self._is_over.is_set() or loop is None or loop is self._loop:
            return
        if not isinstance(loop, BaseEventLoop):
            self._write_unavailable(loop, "its steps are not Python's")
        elif reason := why_no_step_log():
            self._write_unavailable(loop, reason)
        elif self._loop is not None:
            self._write_unavailable(loop, "another loop was logged at the same time")
        else:
            now_ns = monotonic_ns()
            self._until_ns = self._until_ns or (now_ns + self._for_ns if self._for_ns else 0)
            self._loop, self._ident, self._loop_number = loop, get_ident(), number
            self._hook = log_steps(
                loop,
                turns,
                first=self._taken,
                is_chosen=self._is_chosen,
                number_of=self._number_of,
                runner_of=self._runner_of,
                working=self._executors.working,
            )
            if (variable := span_variable()) is not None:
                self._hook.use_variable(variable)

    def turns_end(self, turns: Turns) -> None:
        if get_ident() == self._ident:
            self._leave_loop()

    def span_began(self, span: Any) -> None:
        """Note the task, or the work of an executor, in which a span begins."""
        hook, ids = self._hook, span.get_span_context()
        if hook is None or self._is_over.is_set() or not self._chooses(ids.trace_id):
            return
        if (variable := span_variable()) is not None:
            hook.use_variable(variable)
        if get_ident() == self._ident:
            hook.keep()
            task = current_task(self._loop)
            runner = self._runner_of(None, task) if task is not None else 0
        else:
            runner = self._executors.working.get(get_ident(), 0)
        # Nothing is taken from them while the program keeps the GIL.
        if len(self._span_rows) >= SPAN_WIDTH * ROOM:
            self._dropped += 1
            return
        upper, lower = divmod(ids.span_id, 1 << LOWER)
        self._span_rows.extend((upper, lower, runner, monotonic_ns()))

    def flush(self) -> None:
        """Write the log."""
        with self._flush_lock:
            while self._flush_chunk():
                pass

    leave = flush

    def _flush_chunk(self) -> bool:
        """Write a part of the log; return whether there may be more."""
        hook = self._hook
        rows = _take(hook.log.rows, WIDTH) if hook is not None else []
        long_rows = _take(hook.log.long_rows, LONG_WIDTH) if hook is not None else []
        works, spans = _take(self._executors.rows, WORK_WIDTH), _take(self._span_rows, SPAN_WIDTH)
        # After the rows: every task and place in them is in these, or was written before.
        born = _take(self._task_rows, TASK_WIDTH)
        places, self._new_places = self._new_places, []
        if hook is not None:
            hook.resume()
        if not (rows or works or spans):
            return False
        self._write(
            StepsTaken(
                at_ns=rows[2] if rows else monotonic_ns(),
                pid=os.getpid(),
                loop=self._loop_number,
                steps=packing.pack(rows, WIDTH),
                long_steps=packing.pack(long_rows, LONG_WIDTH),
                tasks=packing.pack(born, TASK_WIDTH),
                works=packing.pack(works, WORK_WIDTH),
                spans=packing.pack(spans, SPAN_WIDTH),
                place_numbers=tuple(number for number, _ in places),
                places=tuple(frame for _, frame in places),
                share=self._share,
                taken=self.taken,
                dropped=self._dropped + (hook.log.dropped if hook is not None else 0),
            )
        )
        return CHUNK in (len(rows) // WIDTH, len(works) // WORK_WIDTH, len(spans) // SPAN_WIDTH)

    def close(self) -> None:
        """Stop logging, and write what is left."""
        self._is_over.set()
        self._executors.stop()
        self._leave_loop()

    def abandon(self) -> None:
        # What was logged is the parent's to write.
        self._is_over.set()
        self._executors.stop()
        if self._hook is not None:
            self._hook.stop()

    def _leave_loop(self) -> None:
        if (hook := self._hook) is None:
            return
        hook.stop()
        self.flush()
        self._taken, self._dropped = hook.number(), self._dropped + hook.log.dropped
        self._loop = self._hook = None

    def _flush_periodically(self) -> None:
        pause_s, taken = FLUSH_EVERY_S, 0
        while not self._is_over.wait(pause_s):
            pause_s, taken = HURRY_S if self.taken - taken > CHUNK else FLUSH_EVERY_S, self.taken
            try:
                if self._until_ns and monotonic_ns() > self._until_ns:
                    self.close()
                else:
                    self.flush()
            except BaseException as exc:
                self._on_error("waits", exc)
            self._cpu_ns = thread_time_ns()

    def _write_unavailable(self, loop: AbstractEventLoop, reason: str) -> None:
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        if kind + reason not in self._unavailable:
            self._unavailable.add(kind + reason)
            self._write(StepLogUnavailable(monotonic_ns(), os.getpid(), kind, reason))

    # --- which traces

    def _chooses(self, trace_id: int) -> bool:
        return (trace_id * MIX) % (1 << BITS) < self._limit

    def _is_of_chosen_trace(self, values: Any) -> bool:
        """Whether OpenTelemetry's values in a context are of a chosen trace; the result is kept on them."""
        try:
            known: bool | None = getattr(values, "_harness_chosen", None)
            if known is None:
                span = span_in(values)
                known = span is not None and self._chooses(span.get_span_context().trace_id)
                values._harness_chosen = known
        except Exception:  # the program may have put anything there, and must not see an error
            known = False
        return known

    def _submitting_step(self) -> int:
        """The number of the step that submits work to an executor, if its trace is chosen; else 0."""
        hook, variable = self._hook, span_variable()
        if hook is None or variable is None or get_ident() != self._ident:
            return 0
        values = variable.get(None)
        if values is None or not (self._is_chosen is None or self._is_chosen(values)):
            return 0
        hook.keep()
        return hook.number()

    # --- names

    def _runner_of(self, callback: Any, owner: Any) -> int:
        """The number of the task *owner*, or minus the number of a callback's place."""
        if isinstance(owner, Task):
            return getattr(owner, "_harness_number", 0) or self._number_of(owner)
        return -self._place_of(callback)

    def _number_of(self, task: Task[Any]) -> int:
        """Number a task. The number is an attribute of the task, even of one in C, so it lives as long."""
        number = next(self._task_numbers)
        work: Any = task.get_coro()
        try:
            known = self._coroutines.get(work.__qualname__)
            if known is None or known[0] is not work.cr_code:
                known = self._coroutines[work.__qualname__] = (work.cr_code, self._place_of(work))
        except AttributeError:  # a generator, or an awaitable of the program's own class
            known = (None, self._place_of(work))
        self._task_rows.extend((number, known[1]))
        # The number of a task that is done after its first step is not needed again.
        if not task.done():
            task._harness_number = number  # type: ignore[attr-defined]
        return number

    def _place_of(self, thing: Any) -> int:
        """The number of the place where a function or coroutine begins, 0 if there is no more room."""
        while isinstance(thing, partial):
            thing = thing.func
        # Called once for each function of a coroutine, and at every step for a callback.
        code = getattr(thing, "__code__", None) or getattr(thing, "cr_code", None)
        name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
        # By id, because hashing a code takes longer than everything else; the code is kept alive, so that its
        # id is not used again. And by name, because a decorator's code is shared by many functions.
        if (known := self._places.get((id(code), name))) is not None:
            return known[0]
        if len(self._places) >= PLACES:
            return 0
        number = next(self._place_numbers)
        self._places[id(code), name] = (number, code)
        frame = Frame(code.co_filename, code.co_firstlineno, name) if code is not None else Frame("", 0, name)
        self._new_places.append((number, frame))
        return number


def create(session: ProbeSession) -> Feature:
    config = session.config
    return StepLogger(config.waits, config.waits_for_s, session.write, session.failed)


def _take(rows: list[int], width: int) -> list[int]:
    """Remove and return the oldest rows; other threads may append meanwhile."""
    taken = rows[: CHUNK * width]
    del rows[: len(taken)]
    return taken
