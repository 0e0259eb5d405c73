"""`watch_loop`: what a run finds, inside a program or a test, without a runner or files.

The probe watches the loops as in a run. Its events go to a thread instead of a record; the thread judges late
turns as a report does and calls `on_block`, so that neither can block the loop. All other findings are judged
when they are asked for.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Self

from .hang_notice import HangNotices, OnHang
from .probe.hang.limits import HangLimits
from .probe.hang.systemd import WatchdogFeed
from .probe.hooks.runtime import why_no_session
from .probe.kept_events import KeptEvents
from .probe.loop.watch import LoopWatch
from .read import history
from .read.blocks import detect as blocks_rule
from .read.blocks.block import Block
from .read.finding import Finding
from .read.judge import live
from .read.judge.live import LiveJudgement
from .record.clock import monotonic_ns
from .record.event import Blocked, Event, LoopStarted
from .record.probe_config import HANG_MS
from .record.run import Run, own_run

log = logging.getLogger(__name__)

# A service may be watched for months, so only the latest blocks are kept; older ones are counted.
KEPT = 1_000
# An `on_block` that does not return must not block callers of `blocks`, or the end of the watch.
PATIENCE_S = 5.0

# The looks become rarer as a watch grows older: this is enough for all of those in a minute.
CLOSELY_NS = 1_000_000_000

OnBlock = Callable[[Block], object]


def watch_loop(
    limit_ms: float = 100,
    on_block: OnBlock | None = None,
    *,
    hang_ms: float = HANG_MS,
    on_hang: OnHang | None = None,
    hang_exit_s: float = 0.0,
    systemd_watchdog: bool = False,
    only_blocks: bool = False,
) -> Watch:
    """Watch event loops for the duration of the ``with`` block.

    This covers the loop that runs the calling coroutine, loops already running in other threads, and every
    loop that starts later.

    Args:
        limit_ms: A loop turn longer than this is a block; at least 1.
        on_block: Called after each block, in the watch's own thread, one call at a time. If it raises, the
            exception is logged, and it is not called again.
        hang_ms: A turn is told while it lasts, from this length on and each time it has become twice as long,
            by a log record and by *on_hang*; 0 for never.
        on_hang: Called with each of these notices, and when the loop has come back, in a thread that neither
            the loop nor *on_block* can hold. If it raises, it is not called again.
        hang_exit_s: End the process by SIGABRT if a loop does not come back for this long, after all tasks
            and threads have been written to stderr; 0 for never.
        systemd_watchdog: Feed systemd's watchdog from the loops, if the unit has ``WatchdogSec=``.
        only_blocks: Look for blocks and hangs alone, which needs less: no threads that look at the tasks,
            the memory, the queues, the pools of threads and the child processes.

    Raises:
        ValueError: A time is out of range.
        RuntimeError: On entering, where nothing can be watched, as in a Python that runs without the GIL.
    """
    for name, value in (("hang_ms", hang_ms), ("hang_exit_s", hang_exit_s)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    if not (math.isfinite(limit_ms) and limit_ms >= 1):
        raise ValueError(f"limit_ms must be finite and at least 1, got {limit_ms!r}")
    limits = HangLimits(round(hang_ms * 1e6), round(hang_exit_s * 1e9))
    return Watch(
        limit_ms, on_block, limits, on_hang, systemd_watchdog=systemd_watchdog, only_blocks=only_blocks
    )


def watch_closely(limit_ms: float) -> Watch:
    """As `watch_loop`, for a test: it is short, and may cost more than a service should."""
    watch = watch_loop(limit_ms)
    watch.more_ns = CLOSELY_NS
    return watch


class Watch:
    """The result of `watch_loop`: a context manager that can be entered once, and all that it finds."""

    def __init__(
        self,
        limit_ms: float,
        on_block: OnBlock | None,
        hang: HangLimits,
        on_hang: OnHang | None,
        *,
        systemd_watchdog: bool,
        only_blocks: bool,
    ) -> None:
        self.limit_ms = limit_ms
        self.more_ns = 0  # of CPU time, that looking for trouble may cost beyond its share of a processor
        self._hang = hang
        self._systemd_watchdog = systemd_watchdog
        self._only_blocks = only_blocks
        self._run = own_run("watch_loop", started_ns=monotonic_ns(), block_limit_ns=round(limit_ms * 1e6))
        self._judge = _Judge(self._run, on_block, self._failed)
        self._kept = KeptEvents()
        self._ended_ns = 0
        self._final: LiveJudgement | None = None  # once the watch has ended
        self._notices = HangNotices(on_hang, self._judge.latest_block_of)
        self._attention: LoopWatch | None = None
        self._logged: dict[str, None] = {}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks so far, oldest first, as in `report.json`; ``at_s`` counts from the start of the watch.

        A block is added when it ends; one that has not ended when the watch ends has ``ended`` false.
        """
        return self._judge.blocks()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that was found so far, by the rules of a report, in its order: the gravest first.

        With ``only_blocks``, what the blocks tell. A part of the watch that failed, or that cannot work in
        this process, is itself a finding, of the rule "probe": what it looks for is not known. After the
        watch, these are the findings at its end.
        """
        return self._judgement().findings

    @property
    def verdict(self) -> str:
        """The first sentence of a report: the gravest trouble so far, or that there is none."""
        return self._judgement().sentence

    @property
    def dropped(self) -> int:
        """The number of blocks that are not kept: older ones, and late turns that could not be judged."""
        return self._judge.dropped

    @property
    def failed(self) -> tuple[str, ...]:
        """The parts of this watch that have failed, each logged once: what they look for may be missing."""
        return tuple(self._logged)

    def __enter__(self) -> Self:
        if self._attention is not None:
            raise RuntimeError("a watch can be entered once; call watch_loop() for another")
        if reason := why_no_session():
            raise RuntimeError(f"watch_loop cannot watch this process: {reason}")
        self._attention = LoopWatch(
            None,
            limit_ns=self._run.block_limit_ns,
            write=self._take,
            on_error=self._failed,
            hang=self._hang,
            end_process=self._notices.end_process,
            feed=WatchdogFeed() if self._systemd_watchdog else None,
            detects=not self._only_blocks,
            only_new=True,
            more_ns=self.more_ns,
        )
        self._judge.start()
        self._notices.start()
        self._attention.begin()
        return self

    def __exit__(self, *_: object) -> None:
        # Not in a child that was forked inside the block: there the watch has ended.
        if self._attention is not None and self._attention.end():
            self._judge.stop()
            self._notices.stop()
            self._ended_ns = monotonic_ns()

    def _judgement(self) -> LiveJudgement:
        if self._final is not None:
            return self._final
        attention, ended_ns = self._attention, self._ended_ns
        if attention is not None and not ended_ns:
            attention.look()
        judgement = live.judge(
            self._run,
            self._kept.events(),
            attention.loops.pages() if attention is not None else {},
            now_ns=ended_ns or monotonic_ns(),
            is_live=not ended_ns,
        )
        if ended_ns:
            self._final = judgement
        return judgement

    def _take(self, event: Event) -> None:
        self._kept.take(event)
        self._judge.take(event)
        self._notices.take(event)

    def _failed(self, where: str, error: BaseException) -> None:
        # Once for each part: an error in every turn must not flood the log.
        if where not in self._logged:
            self._logged[where] = None
            log.warning("watch_loop failed in its part %r: %r", where, error, exc_info=error)


class _Judge:
    """Takes the probe's events from any thread, and turns them into blocks in its own thread."""

    def __init__(
        self, run: Run, on_block: OnBlock | None, on_error: Callable[[str, BaseException], None]
    ) -> None:
        self.dropped = 0
        self._on_block = on_block
        self._on_error = on_error
        self._run = run
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

    def latest_block_of(self, turn: Blocked) -> Block | None:
        """The last block of a late turn; in any thread."""
        return next(iter(reversed(self._blocks_of(turn))), None)

    def _blocks_of(self, turn: Blocked) -> tuple[Block, ...]:
        started = self._started.get(turn.loop)
        seen = history.in_memory(self._run, [started, turn] if started else [turn])
        return blocks_rule.blocks(seen)

    def _consider(self, turn: Blocked) -> None:
        try:
            blocks = self._blocks_of(turn)
        except Exception as exc:  # an error in the judgement of one turn must not end that of all others
            self.dropped += 1
            self._on_error("judge", exc)
            return
        for block in blocks:
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
