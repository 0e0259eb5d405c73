"""Counts the synchronous calls on the threads of running loops, by the place that makes them.

There is one count for each kind of call, place in the program's code, coroutine of the running task, and
argument (a path, a host). Calls in other threads, and before a loop runs, are not counted.
"""

from __future__ import annotations

import functools
import os
import threading
from _queue import SimpleQueue  # the module behind `queue`
from collections.abc import Callable
from pathlib import PurePath
from types import FrameType
from typing import TYPE_CHECKING

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import CallsCounted, Observation
from ...record.process import collection
from ..feature import Feature
from ..hooks import hook
from .callsite import CallSite, name_of, name_of_coroutine, running_coroutine
from .interception import Interception

if TYPE_CHECKING:
    from ..loop.turns import Turns
    from ..session import ProbeSession

# Most places, which bounds the memory. Calls from further places share one count for each kind of call.
PLACES = 1_000
# The same for the arguments of one place: a single line may read a thousand files.
ARGUMENTS = 8
ARGUMENT_CHARS = 200
# A killed process loses at most the counts of this time. Each count that has grown is one line.
FLUSH_EVERY_S = 0.5


class CallCounts(Feature):
    """The counts of this process, written periodically while they grow."""

    def __init__(
        self,
        interception: Interception,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
        sites: CallSite,
    ) -> None:
        self._cost_ns = 0  # the loops' time spent on counting
        self._write = write
        self._on_error = on_error
        self._sites = sites
        self._places: dict[tuple[object, ...], _Place] = {}
        # Its `get` is a single call in C, unlike the wait for an `Event`, in which finalizers could run.
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        self._is_awake = False
        self.resume(interception)

    def resume(self, interception: Interception) -> None:
        """Continue to count after `close`, on top of the earlier counts."""
        self._interception = interception
        self._is_over = threading.Event()
        interception.listener = self._count
        Background(functools.partial(self._flush_periodically, self._is_over), spares=True)

    def turns_begin(self, turns: Turns, number: int) -> None:
        self._interception.enter_thread()

    def turns_end(self, turns: Turns) -> None:
        self._interception.leave_thread()

    def cost(self) -> dict[str, int]:
        return {"calls_ns": self._cost_ns}

    def flush(self) -> None:
        """Write every count that has grown since it was last written."""
        for place in list(self._places.values()):
            for argument, count in list(place.counts.items()):
                if count.written < count.calls:
                    count.written = count.calls
                    self._write(_event(place, argument, count))

    leave = flush

    def close(self) -> None:
        """Undo the interception, and write what is left."""
        self._interception.remove()
        self._is_over.set()
        self._wakeups.put(True)
        self.flush()

    def abandon(self) -> None:
        # The counts are the parent's, and so is the loop that was running.
        self._interception.forget_threads()

    def _flush_periodically(self, is_over: threading.Event) -> None:
        # Waits until a count grows: a timer would wake an idle process.
        while collection.next_of(self._wakeups) and not is_over.is_set():
            collection.sleep(FLUSH_EVERY_S)
            self._is_awake = False
            self.flush()

    def _count(
        self,
        call: str,
        argument: Callable[[], object],
        began_ns: int,
        ended_ns: int,
        caller: FrameType | None,
    ) -> None:
        try:
            if (site := self._sites.find(caller)) is not None:
                self._place(call, site).add(argument(), ended_ns - began_ns)
                if not self._is_awake:
                    self._is_awake = True
                    self._wakeups.put(True)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._on_error("calls", exc)
        self._cost_ns += monotonic_ns() - ended_ns

    def _place(self, call: str, site: FrameType) -> _Place:
        coroutine = running_coroutine()
        # By the coroutine's code: each task has its own coroutine object.
        key = (call, site.f_code, site.f_lineno, getattr(coroutine, "cr_code", type(coroutine)))
        if (place := self._places.get(key)) is None and len(self._places) >= PLACES:
            place = self._places.setdefault((call,), _Place(call))
        if place is None:
            place = self._places[key] = _Place(
                call,
                function=name_of(site),
                file=site.f_code.co_filename,
                line=site.f_lineno or 0,
                caller=name_of_coroutine(coroutine),
            )
        return place


def create(session: ProbeSession) -> Feature:
    interception = session.interception or Interception()
    sites = CallSite(session.config.application)
    return CallCounts(interception, session.write, session.failed, sites)


class _Place:
    """A place that makes calls of one kind; without a function, all the places beyond the limit."""

    __slots__ = ("call", "caller", "counts", "file", "function", "line")

    def __init__(
        self, call: str, *, function: str = "", file: str = "", line: int = 0, caller: str = ""
    ) -> None:
        self.call = call
        self.function = function
        self.file = file
        self.line = line
        self.caller = caller
        self.counts: dict[str, _Count] = {}

    def add(self, argument: object, took_ns: int) -> None:
        text = _text(argument)
        if text not in self.counts and len(self.counts) >= ARGUMENTS:
            text = ""
        count = self.counts.setdefault(text, _Count())
        count.calls += 1
        count.total_ns += took_ns
        count.longest_ns = max(count.longest_ns, took_ns)


class _Count:
    __slots__ = ("calls", "longest_ns", "total_ns", "written")

    def __init__(self) -> None:
        self.calls = self.total_ns = self.longest_ns = 0
        self.written = 0  # the number of calls already in the record


def _event(place: _Place, argument: str, count: _Count) -> CallsCounted:
    return CallsCounted(
        at_ns=monotonic_ns(),
        pid=os.getpid(),
        call=place.call,
        function=place.function,
        file=place.file,
        line=place.line,
        caller=place.caller,
        argument=argument,
        count=count.calls,
        total_ns=count.total_ns,
        max_ns=count.longest_ns,
    )


def _text(argument: object) -> str:
    """An argument as text for the record; "" for types whose `str` would run the program's own code."""
    match argument:
        case str():
            text = argument
        case bytes() | PurePath():
            text = os.fsdecode(argument)
        case int() | float():
            text = str(argument)
        case (str() as host, int() as port, *_):  # an address
            text = f"{host}:{port}"
        case _:
            text = ""
    return text[:ARGUMENT_CHARS]
