"""Finds spans that begin without a parent in work that a span has handed over.

OpenTelemetry keeps the current span in a context variable. A task inherits the context of the code that makes
it; a call in an executor and a thread do not. A span that begins there is the root of a trace of its own, and
the trace of the request ends where the work was handed over.

Nothing is done before the program sets up OpenTelemetry's SDK. Work that a recorded span hands over is
marked, in the context of the thread that does it; what this thread schedules in a loop inherits the mark. A
root span counts while the span that handed the work over is still open. One that begins later is likely to be
work of its own, such as that of a thread which the first request has started for all. Roots that are meant to
be roots do not count: those with a context of their own, or with links.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import Frame, Observation, SpansCutOff
from ...record.value import replace
from ..feature import Feature
from ..hooks import executor_hook, thread_hook
from ..hooks.executor_hook import WAITS_FOR_WORK, Begin, End
from ..hooks.state.span_state import span_in, span_variable
from ..hooks.state.thread_state import this_thread
from ..tasks import identity
from ..threads.stack import frame_at

# A program has more places than this only if it generates code.
PLACES = 200
# How far up the stack a line of the program's own is looked for.
DEPTH = 6
# Of the probe: its frames are the innermost ones.
_FOLDER = str(Path(__file__).parents[1])


class _HandOver:
    """Work that a span hands over."""

    __slots__ = ("how", "is_counted", "span", "steps", "work")

    def __init__(self, how: str, span: Any, steps: list[tuple[CodeType, int]]) -> None:
        self.how = how
        self.span = span
        # The stack that hands it over, innermost first: codes, and offsets of instructions. Their lines take
        # longer to find, and are needed only if a trace ends here.
        self.steps = steps
        self.work: Any = None  # the function
        self.is_counted = False


_mark: ContextVar[_HandOver | None] = ContextVar("harness_hand_over", default=None)


class HandOvers(Feature):
    """The places of this process at which traces end, so far."""

    name = "hand-overs"

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._places: dict[object, SpansCutOff] = {}
        self._written: dict[object, int] = {}
        executor_hook.subscribe(self._submitted)
        self._stop_threads = thread_hook.observe_starts(self._starts)

    def root_began(self, span: Any) -> None:
        """Called when a span begins without a parent, a given context or a link; on its own thread."""
        handed = _mark.get() or thread_hook.noted(this_thread())
        # Not itself: a thread's own span may hand over work, too.
        if handed is not None and handed.span is not span and handed.span.is_recording():
            self._count(handed, span)

    def close(self) -> None:
        """Stop, and bring the counts in the record up to date."""
        self._stop()
        self.leave()

    def leave(self) -> None:
        for key, place in tuple(self._places.items()):
            if place.count != self._written.get(key):
                self._write_place(key, place)

    def abandon(self) -> None:
        self._stop()

    def _stop(self) -> None:
        executor_hook.unsubscribe(self._submitted)
        self._stop_threads()

    def _submitted(self) -> Begin | None:
        if (handed := _handed_over("submit", sys._getframe(1))) is None:
            return None

        def begin(function: Any) -> End:
            handed.work = function
            token = _mark.set(handed)
            return lambda: _mark.reset(token)

        return begin

    def _starts(self, thread: Any) -> None:
        work = thread_hook.work_of_thread(thread)
        if getattr(work, "__code__", None) is WAITS_FOR_WORK:
            return  # the thread of a pool outlives the work that it was started for
        if (handed := _handed_over("Thread.start", sys._getframe(1))) is not None:
            handed.work = work
            # On the thread, because its context does not exist before it runs.
            thread_hook.note(thread, handed)

    def _count(self, handed: _HandOver, span: Any) -> None:
        key = (*handed.steps[:3], getattr(handed.span, "name", ""), span.name)
        if (known := self._places.get(key)) is not None:
            place = replace(known, count=known.count + 1, works=known.works + (not handed.is_counted))
        elif len(self._places) >= PLACES:
            return
        else:
            place = SpansCutOff(
                at_ns=monotonic_ns(),
                pid=os.getpid(),
                how=_named(handed),
                span=str(getattr(handed.span, "name", "")),
                stack=tuple(frame_at(*step) for step in reversed(handed.steps)),
                work=_definition(handed.work),
                root=str(span.name),
                count=1,
                works=1,
            )
        handed.is_counted = True
        self._places[key] = place
        # At powers of two, so that a process which is killed loses at most half of the count.
        if place.count & (place.count - 1) == 0:
            self._write_place(key, place)

    def _write_place(self, key: object, place: SpansCutOff) -> None:
        self._written[key] = place.count
        self._write(place)


def _handed_over(how: str, frame: FrameType | None) -> _HandOver | None:
    """What the current span hands over in *frame*; `None` without a span that is recorded."""
    variable = span_variable()
    span = span_in(variable.get(None)) if variable is not None else None
    if span is None or not span.is_recording():
        return None
    steps: list[tuple[CodeType, int]] = []
    while frame is not None and len(steps) < DEPTH:
        code = frame.f_code
        if steps or not _is_ours(code):
            steps.append((code, frame.f_lasti))
        frame = frame.f_back
    return _HandOver(how, span, steps)


@functools.lru_cache(16)
def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_FOLDER)


def _named(handed: _HandOver) -> str:
    """``submit``, or the call of asyncio that calls it."""
    calls = (code.co_name for code, _ in handed.steps)
    return next((name for name in calls if name == "run_in_executor"), handed.how)


def _definition(work: Any) -> Frame:
    work = identity.innermost(work)
    code = getattr(work, "__code__", None)
    name = str(getattr(work, "__qualname__", None) or type(work).__qualname__)
    return Frame(code.co_filename, code.co_firstlineno, name) if code is not None else Frame("", 0, name)
