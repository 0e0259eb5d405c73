"""Looks at the target from outside while one of its loops is late and its own watchdog cannot.

Code that holds the GIL stops every thread of its process, the probe's watchdog as well. From here the loops'
pages tell that a loop is late and was not looked at, and py-spy tells, without stopping the target, which
thread has the GIL and where. A thread does that, since the runner's own loop has other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Self

from ..record import page
from ..record.event import DumpFailed, Event, ThreadsDumped
from ..record.page import PageView
from ..record.run import RunFolder
from .profilers import pyspy

# The words of a page are read this often, which costs microseconds; new pages are looked for less often.
EVERY_S = 0.01
NEW_PAGES_EVERY_S = 0.2
# During one stall: so many looks at most, so far apart.
LOOKS, LOOK_AGAIN_NS = 5, 300_000_000


@dataclass(slots=True)
class _Loop:
    pid: int
    number: int
    words: PageView
    began_ns: int = 0  # of the stall that was looked at last
    looks: int = 0
    looked_ns: int = 0


class GilWatcher:
    """Watches the loops of a run from its `with` on."""

    def __init__(self, folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._folder = folder
        self._write = write
        self._program = pyspy.program()
        self._ended = threading.Event()
        self._loops: dict[Path, _Loop] = {}
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def __enter__(self) -> Self:
        if self._program is None:
            self._write(DumpFailed(monotonic_ns(), "py-spy is not installed"))
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._program is not None:
            self._thread.join()

    def _watch(self) -> None:
        rounds_per_search = round(NEW_PAGES_EVERY_S / EVERY_S)
        rounds = 0
        while not self._ended.wait(EVERY_S):
            if rounds % rounds_per_search == 0:
                self._find_loops()
            rounds += 1
            for loop in self._loops.values():
                if self._is_unseen(loop, monotonic_ns()) and not self._look(loop):
                    return

    def _find_loops(self) -> None:
        for path in self._folder.loops.glob("*.page"):
            if path not in self._loops:
                try:
                    words = PageView(path)
                except OSError:
                    continue  # the next search finds it ready
                self._loops[path] = _Loop(words[page.PID], int(path.stem.rpartition("-")[2]), words)

    def _is_unseen(self, loop: _Loop, now_ns: int) -> bool:
        """Whether the loop is late, was not looked at from inside, and should be looked at now."""
        words = loop.words
        began_ns, limit_ns = words[page.TURN] or words[page.DUE], words[page.LIMIT_NS]
        if not began_ns or words[page.STOPPED_NS] or now_ns - began_ns < page.overdue_after_ns(limit_ns):
            return False
        if words[page.LOOKED] >= began_ns and now_ns - words[page.LOOKED] < LOOK_AGAIN_NS:
            return False
        if began_ns != loop.began_ns:
            loop.began_ns, loop.looks = began_ns, 0
        elif loop.looks >= LOOKS or now_ns - loop.looked_ns < LOOK_AGAIN_NS:
            return False
        return True

    def _look(self, loop: _Loop) -> bool:
        """Look once; false when it is not possible here at all."""
        loop.looks += 1
        loop.looked_ns = at_ns = monotonic_ns()
        try:
            threads = pyspy.dump(loop.pid)
        except PermissionError as exc:
            self._write(DumpFailed(at_ns, str(exc)))
            return False
        if threads:
            over_ns = monotonic_ns()
            native_id = loop.words[page.THREAD]
            self._write(
                ThreadsDumped(at_ns, loop.pid, loop.number, loop.began_ns, native_id, threads, over_ns)
            )
        return True
