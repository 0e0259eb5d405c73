"""The loops of a run as their pages show them, each with its process, until that ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...record import page
from ...record.observation import CADENCE
from ...record.page import PageView
from ...record.run_folder import RunFolder
from .loop_thread import LoopThread


@dataclass(frozen=True, slots=True, eq=False)
class LoopPage:
    """The counters of the loops that run one after the other in one thread of a process."""

    pid: int
    number: int  # as in `LoopStarted`
    words: PageView
    thread: LoopThread

    @property
    def began_ns(self) -> int:
        """When the running turn began or the waiting loop is due, 0 for neither; see `record/page.py`.

        Only the watchdog brings that up to date. While code has held the GIL it could not, and for a moment
        afterwards the page shows a turn that has ended: then the loop was alive when that one ended.
        """
        began_ns = self.words[page.TURN] or self.words[page.DUE]
        late_ns, over_ns = page.latest_late(self.words)
        return over_ns if 0 < began_ns <= late_ns else began_ns

    def is_unseen(self, now_ns: int, for_ns: int) -> bool:
        """Whether the probe has not sampled the late loop for *for_ns*, or for its usual gap if longer."""
        gap_ns = 3 * CADENCE.gap_ns(now_ns - self.began_ns)
        return now_ns - max(self.words[page.LOOKED], self.began_ns) >= max(for_ns, gap_ns)


class LoopPages:
    """The pages of a run's folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._open: dict[Path, LoopPage] = {}
        self._over: set[Path] = set()  # the pages of processes that have ended

    def __iter__(self) -> Iterator[LoopPage]:
        yield from tuple(self._open.values())

    def find(self) -> None:
        """Open the pages that are new in the folder."""
        for path in self._folder.loops.glob("*.page"):
            if path not in self._open and path not in self._over:
                try:
                    words = PageView(path)
                except OSError:
                    continue  # not complete yet; the next search opens it
                pid, number = words[page.PID], int(path.stem.rpartition("-")[2])
                self._open[path] = LoopPage(pid, number, words, LoopThread(pid))

    def forget(self, loop: LoopPage) -> None:
        """Forget a loop whose process has ended: its page stays, and another process may get its pid."""
        for path, known in tuple(self._open.items()):
            if known is loop:
                self._over.add(path)
                del self._open[path]
