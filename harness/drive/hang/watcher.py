"""Tells of loops that hang, while they do, and ends processes whose loop does not come back.

The loops' pages show from outside how long a turn has lasted, whatever the process does, so a hang is told
even while code holds the GIL. The place is what the probe recorded last of that turn; else what the runner's
last look from outside shows. A process that is stopped, by a signal, its cgroup or a debugger, does not
hang, and neither does one that gets no processor.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Self

from ...record import page
from ...record.event import Event, HungProcessEnded, LoopHung, LoopReturned, ThreadsDumped, ThreadState
from ...record.probe_config import ProbeConfig
from ...record.process.end_request import NUMBER
from ...record.run_folder import RunFolder
from ...stacks.hang_exemption import STARVED_SHARE
from ..gil_watcher import GilWatcher
from ..observer_thread import ObserverThread
from ..process.loop_pages import LoopPage, LoopPages
from ..profilers import look
from .sighting import UNSEEN, ProcessRecord, Sighting

EVERY_S = 0.05
PAGES_EVERY = 4  # rounds
# What the probe has seen is in its file after this time.
WRITTEN_NS = 80_000_000
# A probe that has not sampled a late loop for this long cannot: code holds the GIL.
BLIND_NS = 400_000_000
# A probe that can ends its process itself, and writes all tasks before.
EXIT_GRACE_NS = 6_000_000_000
# A process whose GIL is held is asked to end itself first; it may be able to handle a signal.
ASKED_NS = 5_000_000_000
# This thread itself was stopped, with the rest of the machine or of its process group.
ASLEEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HangSettings:
    """When a turn is told, and when it ends its process; 0 for never."""

    after_ns: int
    exit_ns: int = 0

    @classmethod
    def of(cls, config: ProbeConfig) -> HangSettings:
        """The settings of the probe, which tells and ends where it can."""
        return cls(round(config.hang_ms * 1e6), round(config.hang_exit_s * 1e9))


@dataclass(slots=True)
class _SeenTurn:
    """The turn of a loop that is late."""

    began_ns: int
    counts_from_ns: int  # later than it began if the process was stopped since
    seen_ns: int
    cpu_ns: int | None = None  # of the loop's thread, when it was last seen
    starved_ns: int = 0  # that thread could run, but had no processor
    told: int = 0
    asked_ns: int = 0  # when the process was asked to end itself
    is_written: bool = False  # by this runner, because the probe could not
    sighting: Sighting = UNSEEN


class HangWatcher:
    """Watches the loops of a run for the duration of the ``with`` block."""

    def __init__(
        self,
        folder: RunFolder,
        settings: HangSettings,
        write: Callable[[Event], object],
        dumps: GilWatcher,
        tell: Callable[[str], None],
    ) -> None:
        """*tell* is called in the watcher's thread with each line for the user."""
        self._folder = folder
        self._settings = settings
        self._write = write
        self._dumps = dumps
        self._tell = tell
        self._pages = LoopPages(folder)
        self._turns: dict[tuple[int, int], _SeenTurn] = {}
        self._ended = threading.Event()
        self._thread = ObserverThread("hang-watcher", self._watch, write)

    def __enter__(self) -> Self:
        if self._settings.after_ns or self._settings.exit_ns:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        rounds, before_ns = 0, monotonic_ns()
        while not self._ended.wait(EVERY_S):
            if rounds % PAGES_EVERY == 0:
                self._pages.find()
            rounds += 1
            now_ns = monotonic_ns()
            if now_ns - before_ns > ASLEEP_NS:
                for turn in self._turns.values():
                    turn.counts_from_ns = now_ns
            before_ns = now_ns
            for loop in self._pages:
                self._look(loop, now_ns)
        for loop in self._pages:
            last = self._turns.get((loop.pid, loop.number))
            if last is not None and not loop.thread.is_alive():
                self._process_ended(loop, last, monotonic_ns())

    def _look(self, loop: LoopPage, now_ns: int) -> None:
        key, began_ns = (loop.pid, loop.number), loop.began_ns
        turn: _SeenTurn | None = self._turns.get(key)
        if turn is not None and began_ns != turn.began_ns:
            # The page of a healthy loop is seldom brought up to date, but has each late turn that has ended.
            if turn.began_ns < began_ns < turn.seen_ns and not _held_ns(loop, turn):
                turn.began_ns = began_ns  # the same one: the probe knows better when it began
            else:
                self._returned(loop, turn, now_ns)
                turn = None
        if not began_ns or now_ns - began_ns < page.overdue_after_ns(loop.words[page.LIMIT_NS]):
            return
        if not loop.thread.is_alive():
            if turn is not None:
                self._process_ended(loop, turn, now_ns)
            self._pages.forget(loop)
            return
        if loop.words[page.STOPPED_NS]:
            return  # it is about to end, which is seen when it has
        if turn is None:
            turn = self._turns[key] = _SeenTurn(began_ns, began_ns, now_ns)
        thread, before_ns, turn.seen_ns = loop.words[page.THREAD], turn.seen_ns, now_ns
        cpu_before_ns, turn.cpu_ns = turn.cpu_ns, loop.thread.cpu_ns(thread)
        if cpu_before_ns is not None and turn.cpu_ns is not None and loop.thread.is_runnable(thread):
            lost_ns = max(0, now_ns - before_ns - (turn.cpu_ns - cpu_before_ns))
            if not turn.starved_ns:
                # Until it was seen for the first time, it went on in the same way.
                lost_ns = lost_ns * (now_ns - turn.counts_from_ns) // (now_ns - before_ns)
            turn.starved_ns += lost_ns
        if loop.thread.is_stopped() or loop.thread.is_frozen():
            turn.counts_from_ns, turn.starved_ns = now_ns, 0
            return
        self._judge(loop, turn, now_ns)

    def _judge(self, loop: LoopPage, turn: _SeenTurn, now_ns: int) -> None:
        held_ns = now_ns - turn.counts_from_ns
        is_blind = loop.is_unseen(now_ns, BLIND_NS)
        written_ns = 0 if is_blind else WRITTEN_NS
        after_ns, exit_ns = self._settings.after_ns, self._settings.exit_ns
        # The probe samples no turn that is not yet a block.
        is_starved = turn.starved_ns >= held_ns * STARVED_SHARE
        told_at_ns = max(after_ns << turn.told, loop.words[page.LIMIT_NS])
        is_due = after_ns and held_ns >= told_at_ns + written_ns and not is_starved
        is_over = exit_ns and held_ns - turn.starved_ns >= exit_ns + (0 if is_blind else EXIT_GRACE_NS)
        if not (is_due or is_over):
            return
        seen = self._dumps.latest(loop.pid, loop.number) if is_blind else None
        turn.sighting = self._sighting(loop, turn, seen)
        if turn.sighting.at_debugger:
            turn.counts_from_ns, turn.starved_ns = now_ns, 0
            return
        if is_due:
            while held_ns >= after_ns << turn.told:
                turn.told += 1
            whole_ns = now_ns - turn.began_ns
            self._tell(f"hang: {_who(loop)} held for {_s(whole_ns)} so far {turn.sighting}")
            if is_blind:
                turn.is_written = True
                by = seen.by if seen is not None else "kernel"
                self._write(LoopHung(now_ns, loop.pid, loop.number, turn.began_ns, whole_ns, by))
        if is_over and not turn.asked_ns and loop.thread.handles(NUMBER):
            turn.asked_ns = now_ns
            self._send(loop, NUMBER)
        elif is_over and now_ns - turn.asked_ns >= ASKED_NS:
            self._end(loop, turn, now_ns, seen)

    def _sighting(self, loop: LoopPage, turn: _SeenTurn, seen: ThreadsDumped | None) -> Sighting:
        record = ProcessRecord(self._folder, loop.pid)
        found = None
        if seen is not None and seen.began_ns == turn.began_ns:
            found = record.from_outside(seen)
        return found or record.sighting(loop.number, turn.began_ns) or turn.sighting

    def _returned(self, loop: LoopPage, turn: _SeenTurn, now_ns: int) -> None:
        del self._turns[loop.pid, loop.number]
        if not turn.told:
            return
        held_ns = _held_ns(loop, turn) or now_ns - turn.began_ns
        self._tell(f"hang over: {_who(loop)} came back after {_s(held_ns)} {turn.sighting}")
        if turn.is_written:
            self._write(LoopReturned(now_ns, loop.pid, loop.number, turn.began_ns, held_ns))

    def _process_ended(self, loop: LoopPage, turn: _SeenTurn, now_ns: int) -> None:
        end = ProcessRecord(self._folder, loop.pid).end()
        if end is None and _held_ns(loop, turn):  # the loop came back first
            self._returned(loop, turn, now_ns)
            return
        del self._turns[loop.pid, loop.number]
        if end is not None:
            self._tell(_end_line(end, turn.sighting))
        elif turn.told:
            after = f"after {_s(now_ns - turn.began_ns)} {turn.sighting}"
            self._tell(f"hang: process {loop.pid} ended while its loop was held, {after}")

    def _end(self, loop: LoopPage, turn: _SeenTurn, now_ns: int, seen: ThreadsDumped | None) -> None:
        """End the process from outside: its probe could not."""
        tasks = look.tasks(loop.pid)
        end = HungProcessEnded(
            at_ns=now_ns,
            pid=loop.pid,
            loop=loop.number,
            began_ns=turn.began_ns,
            held_ns=now_ns - turn.began_ns,
            limit_ns=self._settings.exit_ns,
            by="runner",
            signal="SIGKILL",
            threads=tuple(
                ThreadState(each.name, each.native_id, daemon=None, stack=each.stack)
                for each in sorted(
                    seen.threads if seen is not None else (), key=lambda each: each.native_id != loop.pid
                )
            ),
            pending=None if tasks is None else sum(group.count for group in tasks),
            tasks=tasks or (),
            error="the process did not answer, so its tasks could not be listed" if tasks is None else "",
        )
        self._write(end)
        if self._send(loop, signal.SIGKILL):
            self._tell(_end_line(end, turn.sighting))
        del self._turns[loop.pid, loop.number]
        self._pages.forget(loop)

    def _send(self, loop: LoopPage, number: int) -> bool:
        """Send a signal to the process of a loop; false if that has ended, or is another user's."""
        try:
            process = os.pidfd_open(loop.pid)
            try:
                # Not to another process that got its pid since.
                if is_alive := loop.thread.is_alive():
                    signal.pidfd_send_signal(process, number)
                return is_alive
            finally:
                os.close(process)
        except ProcessLookupError:
            return False
        except PermissionError:
            self._tell(f"hang: process {loop.pid} cannot be ended: it belongs to another user")
            return False


def _held_ns(loop: LoopPage, turn: _SeenTurn) -> int:
    """The exact length of a turn that has ended, if its page still has it."""
    words, longest_ns = loop.words, 0
    count = words[page.LATE]
    for number in range(max(0, count - page.LATE_KEPT), count):
        at = page.LATE_TURNS + 3 * (number % page.LATE_KEPT)
        if turn.began_ns <= words[at] + words[at + 1] and words[at] <= turn.seen_ns:
            longest_ns = max(longest_ns, words[at + 1])
    return longest_ns


def _who(loop: LoopPage) -> str:
    return f"loop {loop.number} of process {loop.pid}"


def _s(held_ns: int) -> str:
    return f"{held_ns / 1e9:.1f} s"


def _end_line(end: HungProcessEnded, sighting: Sighting) -> str:
    tasks = "" if end.pending is None else f"; its tasks are in the record: {end.pending}"
    return (
        f"hang: process {end.pid} was ended by {end.signal} because its loop {end.loop} had not come back "
        f"for {_s(end.limit_ns)} {sighting}{tasks}"
    )
