"""Dumps the target's threads from outside while a loop is late and the probe's own watchdog cannot run.

Code that holds the GIL stops every thread of its process, including the watchdog. From outside, the loops'
pages show that a loop is late and was not sampled; the kernel tells whether its thread computes or waits; and
py-spy, or the standard library's sampler (`profilers/look.py`), reads, without stopping the target, which
thread has the GIL and where it is. Where neither can, the rest remains, so that a process that is killed
while code holds the GIL has its block. This runs in a thread, because the runner's loop has other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Self

from ..record import page
from ..record.event import DumpFailed, Event, LoopSilent, ThreadsDumped
from ..record.run_folder import RunFolder
from .observer_thread import ObserverThread
from .process.loop_pages import LoopPage, LoopPages
from .profilers.look import OutsideLooker

# Reading a page's words costs microseconds; searching the folder for new pages costs more.
EVERY_S = 0.01
NEW_PAGES_EVERY_S = 0.2
# The time between two dumps of a stall, and the part of its length that this grows to: one that lasts for an
# hour is dumped some forty times.
DUMP_AGAIN_NS, DUMPS = 300_000_000, 5


@dataclass(slots=True)
class _Dumped:
    """The stall of a loop that was dumped last."""

    began_ns: int = 0
    dumps: int = 0
    dumped_ns: int = 0
    latest: ThreadsDumped | None = None


class GilWatcher:
    """Watches the loops of a run for the duration of the ``with`` block."""

    def __init__(self, folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._write = write
        self._can_look = True
        self._ended = threading.Event()
        self._pages = LoopPages(folder)
        self._looker = OutsideLooker()
        self._dumped: dict[tuple[int, int], _Dumped] = {}
        self._thread = ObserverThread("gil-watcher", self._watch, write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def latest(self, pid: int, number: int) -> ThreadsDumped | None:
        """The latest dump of a loop's latest stall; in any thread."""
        dumped = self._dumped.get((pid, number))
        return dumped.latest if dumped is not None else None

    def _watch(self) -> None:
        try:
            self._watch_all()
        finally:
            self._looker.close()

    def _watch_all(self) -> None:
        rounds_per_search = round(NEW_PAGES_EVERY_S / EVERY_S)
        rounds = 0
        while not self._ended.wait(EVERY_S):
            if rounds % rounds_per_search == 0:
                self._pages.find()
                for loop in self._pages:
                    self._looker.prepare(loop.pid)
            rounds += 1
            for loop in self._pages:
                dumped = self._dumped.setdefault((loop.pid, loop.number), _Dumped())
                if _needs_dump(loop, dumped, monotonic_ns()):
                    if loop.thread.is_alive():
                        self._dump(loop, dumped)
                    else:
                        self._pages.forget(loop)

    def _dump(self, loop: LoopPage, dumped: _Dumped) -> None:
        """Read the loop's thread once, and dump all threads where that is possible."""
        dumped.dumps += 1
        dumped.dumped_ns = at_ns = monotonic_ns()
        thread = loop.words[page.THREAD]
        cpu_ns, waits_in = loop.thread.cpu_ns(thread), loop.thread.waits_in(thread)
        self._write(LoopSilent(at_ns, loop.pid, loop.number, dumped.began_ns, cpu_ns, waits_in))
        if not self._can_look:
            return
        try:
            seen = self._looker.look(loop.pid)
        except PermissionError as exc:
            self._can_look = False
            self._write(DumpFailed(at_ns, str(exc)))
            return
        if seen.threads:
            over_ns = monotonic_ns()
            dumped.latest = ThreadsDumped(
                at_ns, loop.pid, loop.number, dumped.began_ns, thread, seen.threads, over_ns, seen.by
            )
            self._write(dumped.latest)


def _needs_dump(loop: LoopPage, dumped: _Dumped, now_ns: int) -> bool:
    """Whether the loop is late, was not sampled from inside, and is due for a dump."""
    words, began_ns = loop.words, loop.began_ns
    late_ns = now_ns - began_ns
    if not began_ns or words[page.STOPPED_NS] or late_ns < page.overdue_after_ns(words[page.LIMIT_NS]):
        return False
    if words[page.LOOKED] >= began_ns and not loop.is_unseen(now_ns, DUMP_AGAIN_NS):
        return False
    if began_ns != dumped.began_ns:
        dumped.began_ns, dumped.dumps, dumped.latest = began_ns, 0, None
    elif now_ns - dumped.dumped_ns < max(DUMP_AGAIN_NS, late_ns // DUMPS):
        return False
    return True
