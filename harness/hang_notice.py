"""Tells a program of its own loops that hang: to its callback and to its log, in a thread of their own.

The thread is neither the watchdog's nor that of `on_block`: a callback that waits for the loop, or a log
whose lock the loop's thread holds, stops nothing but further notices.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue

from .read.blocks.block import Block
from .read.blocks.live_hang import LiveHang
from .record.event import Blocked, Event, HungProcessEnded, LoopHung, LoopReturned
from .stacks.ownership import CodeOwnership

log = logging.getLogger(__name__)

OnHang = Callable[[LiveHang], object]

# How long a callback and the log may take before the process is ended.
LAST_WORDS_S = 2.0
# How long the end of a watch waits for a notice.
PATIENCE_S = 5.0
# The most tasks' names of one place, and the most frames of a thread, that are printed before the end.
NAMES, FRAMES = 10, 30


class HangNotices:
    """Takes the probe's events in any thread, and notifies in its own."""

    def __init__(self, on_hang: OnHang | None, judge: Callable[[Blocked], Block | None]) -> None:
        """*judge* makes a block of a late turn, as a report does."""
        self._on_hang = on_hang
        self._judge = judge
        self._queue: SimpleQueue[Event | threading.Event | None] = SimpleQueue()
        self._turns: dict[int, Blocked] = {}  # by loop: the latest
        self._told: dict[int, int] = {}
        self._thread = threading.Thread(target=self._work, name="harness-hang", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, event: Event) -> None:
        """Take one of the probe's events; never blocks."""
        if isinstance(event, Blocked | LoopHung | LoopReturned):
            self._queue.put(event)

    def stop(self) -> None:
        """Deliver what was taken, and end the thread."""
        self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE_S)

    def end_process(self, state: HungProcessEnded) -> None:
        """End the process: its loop has not come back. On the watchdog's thread."""
        said = "\n".join(_last_lines(state)) + "\n"
        with suppress(OSError):  # stderr is closed; not through `sys.stderr`, whose lock may be held
            os.write(2, said.encode(errors="backslashreplace"))
        done = threading.Event()
        self._queue.put(state)
        self._queue.put(done)
        done.wait(LAST_WORDS_S)
        os.abort()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            match item:
                case threading.Event():
                    item.set()
                case Blocked():
                    self._turns[item.loop] = item
                case LoopHung():
                    self._told[item.loop] = self._told.get(item.loop, 0) + 1
                    self._notify(item.loop, item.held_ns, returned=False)
                case HungProcessEnded():
                    self._notify(item.loop, item.held_ns, returned=False, ends=True)
                case LoopReturned():
                    self._notify(item.loop, item.held_ns, returned=True)
                    self._told.pop(item.loop, None)

    def _notify(self, loop: int, held_ns: int, *, returned: bool, ends: bool = False) -> None:
        turn = self._turns.get(loop)
        block = self._judge(turn) if turn is not None else None
        if block is None:
            return
        hang = LiveHang(held_ns / 1e9, self._told.get(loop, 0), returned, ends, os.getpid(), loop, block)
        # First the callback: the log may be what the loop hangs in.
        if self._on_hang is not None:
            try:
                self._on_hang(hang)
            except BaseException:  # even `SystemExit`, which would only end this thread
                name = getattr(self._on_hang, "__qualname__", None) or repr(self._on_hang)
                self._on_hang = None
                log.exception("on_hang %s raised and is not called again", name)
        level = logging.CRITICAL if ends else logging.INFO if returned else logging.WARNING
        message = "%s; the process is ended" if ends else "%s"
        log.log(level, message, hang, extra=_fields(hang))


def _fields(hang: LiveHang) -> dict[str, object]:
    """The fields of the log record, with the names of OpenTelemetry's conventions where there are some."""
    block = hang.block
    fields: dict[str, object] = {
        "code.function.name": block.function,
        "code.file.path": block.file,
        "code.line.number": block.line,
        "code.stacktrace": "\n".join(f"{f.file}:{f.line} {f.function}" for f in block.stack),
        "process.pid": hang.pid,
        "harness.loop": hang.loop,
        "harness.held_s": hang.held_s,
        "harness.cause": str(block.cause),
        "harness.task": block.task,
        "harness.coroutine": block.coroutine,
        "harness.returned": hang.returned,
    }
    if block.trace_id:
        fields |= {"trace_id": block.trace_id, "span_id": block.span_id}
    return fields


def _last_lines(state: HungProcessEnded) -> Iterator[str]:
    """All tasks and threads, as text."""
    who = f"loop {state.loop} of process {state.pid}"
    yield f"harness: {who} has not come back for {state.limit_ns / 1e9:g} s; the process is ended"
    if state.error:
        yield f"harness: not complete: {state.error}"
    for thread in state.threads:
        yield f"thread {thread.thread}:"
        yield from (f"  {f.file}:{f.line} {f.function}" for f in thread.stack[-FRAMES:])
    for group in state.tasks:
        of, ownership = group.coroutine, CodeOwnership()
        own = [frame for frame in of.stack if not ownership.is_library(frame)]
        names = ", ".join(group.tasks[:NAMES]) + (", ..." if group.count > NAMES else "")
        file, line = (own[-1].file, own[-1].line) if own else (of.file, of.line)
        yield f"{group.count} x {of.name} at {file}:{line}: {names}"
