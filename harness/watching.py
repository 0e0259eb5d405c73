"""`watch_loop`: the detector of blocks inside a program or a test, without a runner or files.

The probe times and samples the loops as in a run. Its events go to a thread instead of a record; the thread
judges them as a report does and calls `on_block`, so that neither can block the loop.
"""

from __future__ import annotations

import logging
import math
import platform
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Self

from .probe.loop.watch import LoopWatch
from .read import history
from .read.blocks import detect as blocks_rule
from .read.blocks.block import Block
from .record.clock import monotonic_ns
from .record.event import Blocked, Event, LoopStarted
from .record.run import Run

log = logging.getLogger(__name__)

# A service may be watched for months, so only the latest blocks are kept; older ones are counted.
KEPT = 1_000
# An `on_block` that does not return must not block callers of `blocks`, or the end of the watch.
PATIENCE_S = 5.0

OnBlock = Callable[[Block], object]


def watch_loop(limit_ms: float = 100, on_block: OnBlock | None = None) -> Watch:
    """Watch event loops for the duration of the ``with`` block.

    This covers the loop that runs the calling coroutine, loops already running in other threads, except
    uvloop's, and every loop that starts later.

    Args:
        limit_ms: A loop turn longer than this is a block; at least 1.
        on_block: Called after each block, in the watch's own thread, one call at a time. If it raises, the
            exception is logged, and it is not called again.

    Raises:
        ValueError: *limit_ms* is out of range.
    """
    if not (math.isfinite(limit_ms) and limit_ms >= 1):
        raise ValueError(f"limit_ms must be finite and at least 1, got {limit_ms!r}")
    return Watch(limit_ms, on_block)


class Watch:
    """The result of `watch_loop`: a context manager that can be entered once, and the blocks."""

    def __init__(self, limit_ms: float, on_block: OnBlock | None) -> None:
        self.limit_ms = limit_ms
        self._judge = _Judge(limit_ms, on_block)
        self._attention: LoopWatch | None = None
        self._logged: set[str] = set()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks so far, oldest first, as in `report.json`; ``at_s`` counts from the start of the watch.

        A block is added when it ends; one that has not ended when the watch ends has ``ended`` false.
        """
        return self._judge.blocks()

    @property
    def dropped(self) -> int:
        """The number of older blocks that were discarded."""
        return self._judge.dropped

    def __enter__(self) -> Self:
        if self._attention is not None:
            raise RuntimeError("a watch can be entered once; call watch_loop() for another")
        limit_ns = round(self.limit_ms * 1e6)
        self._attention = LoopWatch(None, limit_ns=limit_ns, write=self._judge.take, on_error=self._failed)
        self._judge.start()
        self._attention.begin()
        return self

    def __exit__(self, *_: object) -> None:
        # Not in a child that was forked inside the block: there the watch has ended.
        if self._attention is not None and self._attention.end():
            self._judge.stop()

    def _failed(self, where: str, error: BaseException) -> None:
        # Once for each part: an error in every turn must not flood the log.
        if where not in self._logged:
            self._logged.add(where)
            log.warning("watch_loop failed in its part %r: %r", where, error, exc_info=error)


class _Judge:
    """Takes the probe's events from any thread, and turns them into blocks in its own thread."""

    def __init__(self, limit_ms: float, on_block: OnBlock | None) -> None:
        self.dropped = 0
        self._on_block = on_block
        self._run = Run(
            id="",
            scenario="watch_loop",
            started="",
            started_ns=monotonic_ns(),
            seed=0,
            python=platform.python_version(),
            commit="",
            command=tuple(sys.orig_argv),
            block_limit_ns=round(limit_ms * 1e6),
        )
        self._seen: SimpleQueue[Event | threading.Event | None] = SimpleQueue()
        self._started: dict[int, LoopStarted] = {}
        # By loop number: a loop is in one turn at a time.
        self._going_on: dict[int, Blocked] = {}
        self._over_ns: dict[int, int] = {}  # start of the latest late turn that has ended
        self._blocks: deque[Block] = deque(maxlen=KEPT)
        self._thread = threading.Thread(target=self._work, name="harness-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, event: Event) -> None:
        """Add one of the probe's events; never blocks."""
        self._seen.put(event)

    def blocks(self) -> tuple[Block, ...]:
        """The blocks of all events so far."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            reached = threading.Event()
            self._seen.put(reached)
            reached.wait(PATIENCE_S)
        return tuple(sorted(self._blocks, key=lambda block: block.at_s))

    def stop(self) -> None:
        """Judge the remaining events, including turns that have not ended, and end the thread."""
        self._seen.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        while (item := self._seen.get()) is not None:
            match item:
                case threading.Event():
                    item.set()
                case LoopStarted():
                    self._started[item.loop] = item
                case Blocked(ended=True):
                    self._over_ns[item.loop] = item.at_ns
                    self._going_on.pop(item.loop, None)
                    self._consider(item)
                # Ignored if the watchdog reports a turn whose end the loop has already written.
                case Blocked() if item.at_ns > self._over_ns.get(item.loop, 0):
                    self._going_on[item.loop] = item
        for turn in self._going_on.values():
            self._consider(turn)

    def _consider(self, turn: Blocked) -> None:
        started = self._started.get(turn.loop)
        seen = history.in_memory(self._run, [started, turn] if started else [turn])
        for block in blocks_rule.blocks(seen):
            self.dropped += len(self._blocks) == KEPT
            self._blocks.append(block)
            self._notify(block)

    def _notify(self, block: Block) -> None:
        if self._on_block is None:
            return
        try:
            self._on_block(block)
        except BaseException:  # even a test's outcome or `SystemExit`, which would only end this thread
            name = getattr(self._on_block, "__qualname__", None) or repr(self._on_block)
            self._on_block = None
            log.exception("on_block %s raised and is not called again", name)
