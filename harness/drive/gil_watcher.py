"""Dumps the target's threads from outside while a loop is late and the probe's own watchdog cannot run.

Code that holds the GIL stops every thread of its process, including the watchdog. From outside, the loops'
pages show that a loop is late and was not sampled; the kernel tells whether its thread computes or waits; and
py-spy reads, without stopping the target, which thread has the GIL and where it is. Without py-spy the rest
remains, so that a process that is killed while code holds the GIL has its block. This runs in a thread,
because the runner's loop has other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Self

from ..record import page
from ..record.event import DumpFailed, Event, LoopSilent, ThreadsDumped
from ..record.page import PageView
from ..record.run import RunFolder
from .process.loop_thread import LoopThread
from .profilers import pyspy

# Reading a page's words costs microseconds; searching the folder for new pages costs more.
EVERY_S = 0.01
NEW_PAGES_EVERY_S = 0.2
# Maximum number of dumps per stall, and the time between them.
DUMPS, DUMP_AGAIN_NS = 5, 300_000_000


@dataclass(slots=True)
class _Loop:
    pid: int
    number: int
    words: PageView
    thread: LoopThread
    began_ns: int = 0  # of the stall that was dumped last
    dumps: int = 0
    dumped_ns: int = 0


class GilWatcher:
    """Watches the loops of a run for the duration of the ``with`` block."""

    def __init__(self, folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._folder = folder
        self._write = write
        self._program = pyspy.program()
        self._ended = threading.Event()
        self._loops: dict[Path, _Loop] = {}
        self._over: set[Path] = set()  # the pages of processes that have ended
        self._thread = threading.Thread(target=self._watch, name="gil-watcher", daemon=True)

    def __enter__(self) -> Self:
        if self._program is None:
            self._write(DumpFailed(monotonic_ns(), "py-spy is not installed"))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        rounds_per_search = round(NEW_PAGES_EVERY_S / EVERY_S)
        rounds = 0
        while not self._ended.wait(EVERY_S):
            if rounds % rounds_per_search == 0:
                self._find_loops()
            rounds += 1
            for path, loop in tuple(self._loops.items()):
                if self._needs_dump(loop, monotonic_ns()):
                    if loop.thread.is_alive():
                        self._dump(loop)
                    else:
                        # Its page stays; the process that has its pid next is another one.
                        self._over.add(path)
                        del self._loops[path]

    def _find_loops(self) -> None:
        for path in self._folder.loops.glob("*.page"):
            if path not in self._loops and path not in self._over:
                try:
                    words = PageView(path)
                except OSError:
                    continue  # not complete yet; the next search opens it
                pid, number = words[page.PID], int(path.stem.rpartition("-")[2])
                self._loops[path] = _Loop(pid, number, words, LoopThread(pid))

    def _needs_dump(self, loop: _Loop, now_ns: int) -> bool:
        """Whether the loop is late, was not sampled from inside, and is due for a dump."""
        words = loop.words
        began_ns, limit_ns = words[page.TURN] or words[page.DUE], words[page.LIMIT_NS]
        if not began_ns or words[page.STOPPED_NS] or now_ns - began_ns < page.overdue_after_ns(limit_ns):
            return False
        if words[page.LOOKED] >= began_ns and now_ns - words[page.LOOKED] < DUMP_AGAIN_NS:
            return False
        if began_ns != loop.began_ns:
            loop.began_ns, loop.dumps = began_ns, 0
        elif loop.dumps >= DUMPS or now_ns - loop.dumped_ns < DUMP_AGAIN_NS:
            return False
        return True

    def _dump(self, loop: _Loop) -> None:
        """Read the loop's thread once, and dump all threads where that is possible."""
        loop.dumps += 1
        loop.dumped_ns = at_ns = monotonic_ns()
        thread = loop.words[page.THREAD]
        cpu_ns, waits_in = loop.thread.cpu_ns(thread), loop.thread.waits_in(thread)
        self._write(LoopSilent(at_ns, loop.pid, loop.number, loop.began_ns, cpu_ns, waits_in))
        if self._program is None:
            return
        try:
            threads = pyspy.dump(loop.pid)
        except PermissionError as exc:
            self._program = None
            self._write(DumpFailed(at_ns, str(exc)))
            return
        if threads:
            over_ns = monotonic_ns()
            self._write(ThreadsDumped(at_ns, loop.pid, loop.number, loop.began_ns, thread, threads, over_ns))
