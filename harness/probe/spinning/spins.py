"""Finds loops that spin: they burn a processor in short turns that wait for nothing.

Every loop's counters are compared about twice a second, at a sign of life, which an idle loop does not give.
Only while they are suspicious does a thread look closer (`look.py`), for a third of a second, and ends. A
loop that had work is looked at again after a time that doubles.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from threading import Event
from time import thread_time_ns
from typing import TYPE_CHECKING

from ...record.clock import monotonic, monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import LoopSpun, Observation
from ...record.process import collection
from ..feature import Feature
from ..hooks import hook
from ..hooks.process.late_import import importing
from ..hooks.state.thread_state import current_frames
from ..loop.turns import Turns
from .suspicion import WINDOW_NS, Counts, is_suspicious

if TYPE_CHECKING:
    from .look import Found
    from .sight import QueueSight
    from .spinner import Spinner

# Between two sights of a look: the loop makes hundreds of turns, and is held up in one of them.
GAP_S = 0.02
# After each sight, as soon as the loop has made a turn.
NEAR_S = 2e-5
# After a look that found a spin, the next comes when the spin has become longer by this share.
LATER, SOONEST_NS, LATEST_NS = 0.5, 600_000_000, 60_000_000_000
# A look takes some ten milliseconds of processor time.
REST_NS = 1_000_000_000


class SpinWatch(Feature):
    """Watches every loop for spins, from its beginning to its end."""

    name = "spins"

    def __init__(
        self, *, write: Callable[[Observation], object], on_error: Callable[[str, BaseException], None]
    ) -> None:
        self._write = write
        self._on_error = on_error
        self._loops: dict[int, _WatchedLoop] = {}  # by number
        self._closed = Event()
        self._is_looking = False
        self.thread: Background | None = None  # of the latest look
        self._cpu_ns = 0

    def turns_begin(self, turns: Turns, number: int) -> None:
        watched = self._loops[number] = _WatchedLoop(turns, number, self._write)
        turns.on_counted = partial(self._counted, watched)

    def turns_end(self, turns: Turns) -> None:
        turns.on_counted = None
        for watched in tuple(self._loops.values()):
            if watched.turns is turns:
                watched.write()
                del self._loops[watched.number]

    def leave(self) -> None:
        for watched in tuple(self._loops.values()):
            watched.write()

    def close(self) -> None:
        self._closed.set()
        for watched in tuple(self._loops.values()):
            watched.turns.on_counted = None
            watched.write()

    def abandon(self) -> None:
        for watched in self._loops.values():
            watched.turns.on_counted = None

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def _counted(self, watched: _WatchedLoop, now_ns: int, cpu_ns: int, queued_ns: int) -> None:
        """Called at a sign of life of the loop, after its page was written."""
        try:
            if (
                watched.wants_look(now_ns, cpu_ns, queued_ns)
                and not self._is_looking
                and not self._closed.is_set()
            ):
                self._is_looking = True
                self.thread = Background(partial(self._look, watched), spares=True)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._fail(exc)

    def _look(self, watched: _WatchedLoop) -> None:
        try:
            self._look_at(watched)
        except BaseException as exc:
            self._fail(exc)
        finally:
            self._cpu_ns += thread_time_ns()
            self._is_looking = False

    def _look_at(self, watched: _WatchedLoop) -> None:
        with importing():
            from . import sight
            from .look import Look
        look, first = Look(), watched.latest
        while not self._closed.is_set():
            collection.sleep(GAP_S)
            seen = _sight(sight.take, watched.turns, describes=look.describes)
            if seen is None:
                return
            is_last = not look.add(seen)
            collection.sleep(NEAR_S)
            near = _sight(sight.take, watched.turns, describes=False)
            if near is None:
                return
            look.add_near(near)
            if is_last:
                counted = watched.latest.since(first)
                watched.looked(look.judge(seen, counted.turns, counted.cpu_ns), monotonic_ns())
                return

    def _fail(self, exc: BaseException) -> None:
        """Look for no more spins: what failed once is not tried again and again."""
        self.close()
        self._on_error("spins", exc)


def _sight(take: Callable[..., QueueSight | None], turns: Turns, *, describes: bool) -> QueueSight | None:
    """A sight of the loop of *turns*; `None` if it runs no more."""
    # First, before this thread releases the GIL.
    frame = current_frames().get(turns.thread_ident)
    seen = take(turns, frame, monotonic(), describes=describes)
    del frame
    return seen if turns.loop is not None else None


class _WatchedLoop:
    """The counts of one loop, and its spin, if it is in one."""

    def __init__(self, turns: Turns, number: int, write: Callable[[Observation], object]) -> None:
        """To be made when *turns* begin."""
        self.turns = turns
        self.number = number
        self._write = write
        self.latest = self._window = Counts.of(
            turns.words, monotonic_ns(), turns.thread_cpu_ns(), turns.marked_queued_ns or 0
        )
        self._since: Counts | None = None  # since when each window was suspicious
        self._spin: _Spin | None = None
        self._look_ns = 0  # no look before this time
        self._rest_ns = REST_NS

    def wants_look(self, now_ns: int, cpu_ns: int, queued_ns: int) -> bool:
        """Note the counts now, and return whether to look closer."""
        latest = self.latest = Counts.of(self.turns.words, now_ns, cpu_ns, queued_ns)
        window = latest.since(self._window)
        if window.at_ns < WINDOW_NS:
            return False
        began, self._window = self._window, latest
        if not is_suspicious(window):
            self._since = None
            self._end(began)
            return False
        self._since = self._since or began
        return now_ns >= self._look_ns

    def looked(self, found: Found | None, now_ns: int) -> None:
        """Note the result of a look that has ended just now."""
        since, spin = self._since or self._window, self._spin
        if found is None:
            if spin is not None and spin.is_seen:
                # Other work may have come between: once is no end.
                spin.is_seen, self._look_ns = False, now_ns + SOONEST_NS
                return
            self._look_ns, self._rest_ns = now_ns + self._rest_ns, min(2 * self._rest_ns, LATEST_NS)
            if spin is not None:
                self._end(spin.seen)
            self._since = self._window
            return
        if spin is None or not spin.is_of(found.spinner):
            self._end(since)
            spin = self._spin = _Spin(since, found)
        else:
            spin.found = found
        spin.looks, spin.is_seen, spin.seen = spin.looks + 1, True, self.latest
        self._rest_ns = REST_NS
        lasted_ns = now_ns - spin.since.at_ns
        self._look_ns = now_ns + min(max(SOONEST_NS, int(LATER * lasted_ns)), LATEST_NS)
        self.write()

    def write(self) -> None:
        """Write the spin so far, if there is one."""
        self._end(self.latest, is_over=False)

    def _end(self, at: Counts, *, is_over: bool = True) -> None:
        if (spin := self._spin) is None:
            return
        if is_over:
            self._spin = None
        self._write(spin.event(self.number, at))


class _Spin:
    """A spin that goes on."""

    def __init__(self, since: Counts, found: Found) -> None:
        self.since = since
        self.found = found
        self.looks = 0
        self.is_seen = True  # the latest look has found it ...
        self.seen = since  # ... and when one did last

    def is_of(self, spinner: Spinner) -> bool:
        """Whether it is the same that spins."""
        mine = self.found.spinner
        return (mine.name, mine.callback) == (spinner.name, spinner.callback)

    def event(self, loop: int, until: Counts) -> LoopSpun:
        """The spin, from its begin until then."""
        spinner, counted = self.found.spinner, until.since(self.since)
        return LoopSpun(
            at_ns=self.since.at_ns,
            until_ns=until.at_ns,
            pid=os.getpid(),
            loop=loop,
            name=spinner.name,
            is_timer=spinner.is_timer,
            count=self.found.times,
            turns=counted.turns,
            cpu_ns=counted.cpu_ns,
            alone=self.found.alone,
            looks=self.looks,
            coroutine=spinner.coroutine,
            callback=spinner.callback,
            about=spinner.about,
            file=spinner.file,
        )
