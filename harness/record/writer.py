"""Writes a record: one append-only file per process, one event per line.

`write` puts the event into a bounded buffer and returns; a background thread encodes and writes it. The
thread sleeps while the buffer is empty, and collects events for `FLUSH_S` once it is not. A full buffer drops
the newest event and counts it. After the file has been opened, nothing here raises.
"""

from __future__ import annotations

import _thread
import errno
import os
import sys
import threading
import time
from _queue import Empty, SimpleQueue  # the module behind `queue`
from contextlib import suppress
from typing import TYPE_CHECKING

from .clock import monotonic_ns
from .codec import encode
from .hidden_thread import Background
from .observation import WriterClosed, WriterOpened
from .process import collection
from .process.high_descriptor import raised
from .redact import redacted_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .event import Event

    _Item = Event | threading.Event | Callable[[], object]

# A killed process loses at most the latest events of this time; the documented bound is 100 ms.
FLUSH_S = 0.05
# A busy service writes some 20,000 spans/s, so this bridges a disk stall of three seconds.
CAPACITY = 65_536
# Events that are written at once. They are in memory beside the buffer, and so is their text.
BATCH = 2_048
# A record that fills the disk would harm the service. Events beyond this size are dropped and counted.
MAX_BYTES = 1_000_000_000


class NoWriter:
    """In place of a `Writer` where there is no record: takes every event, and keeps none."""

    dropped = thread_cpu_ns = 0

    def write(self, event: Event) -> bool:
        """Take the event."""
        return True

    write_now = write_last = write

    def later(self, step: Callable[[], object]) -> None:
        """Call *step* in a thread of its own."""
        Background(step)

    def leave(self) -> None:
        """Do nothing, like the other ends."""

    close = abandon = leave


class Writer:
    """Writes one process's events to *folder*; usable from any thread, signal handler or finalizer.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(
        self, folder: str | Path, role: str, *, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES
    ) -> None:
        now = monotonic_ns()
        # The pid alone is not unique: `exec` keeps it, and pids are reused in a long run.
        self._path = f"{folder}/{role}-{os.getpid()}-{now:x}.jsonl"
        self.dropped = 0
        self.error = ""  # why the file could not be written when that was first tried
        self.thread_cpu_ns = 0
        self._lines = 0  # written; with several threads at least so many
        self._torn = False  # the file ends inside a line, because the disk became full
        self._capacity = capacity
        self._room = max_bytes
        # SimpleQueue, because its `put` is reentrant: a finalizer or signal handler may write.
        self._buffer: SimpleQueue[_Item] = SimpleQueue()
        self._fd = self._opened(os.O_CREAT | os.O_EXCL)
        self._closed = False
        # A lock, because waiting for an `Event` runs code in Python on both sides of the wait.
        self._flush_now = _thread.allocate_lock()
        self._flush_now.acquire()
        self._last = threading.Event()  # set when every event from before `close` is in the file
        opened = WriterOpened(
            at_ns=now,
            wall_ns=time.time_ns(),
            role=role,
            pid=os.getpid(),
            parent_pid=os.getppid(),
            python=".".join(map(str, sys.version_info[:3])),
            command=redacted_command(sys.orig_argv),
        )
        try:
            self._append(encode(opened) + "\n", 1)
            Background(self._drain, spares=True)
        except BaseException:  # no further thread can be started, for example
            os.close(self._fd)
            raise

    @property
    def path(self) -> Path:
        """The file."""
        from pathlib import Path  # not needed in a target

        return Path(self._path)

    def write(self, event: Event) -> bool:
        """Buffer the event and return true, or count it as dropped and return false. Never blocks."""
        if self._closed or self._buffer.qsize() >= self._capacity:
            self.dropped += 1
            return False
        self._buffer.put(event)
        return True

    def write_now(self, event: Event) -> bool:
        """Write the event to the file before returning, with a system call in the caller's thread.

        For events that must survive even if the process is killed before the background thread gets the GIL.
        """
        if self._closed:
            self.dropped += 1
            return False
        self._write_batch([event])
        return True

    def write_last(self, event: Event) -> bool:
        """Write the event even if the record has been closed: then it follows the last line.

        For the time between the end of the record and that of the process, never in a child after `fork`.
        """
        if not self._closed:
            return self.write_now(event)
        try:
            fd = self._opened(0)
            try:
                # Followed by the last line once more: a file without it counts as cut off.
                closed = WriterClosed(at_ns=monotonic_ns(), dropped=self.dropped, lines=self._lines + 1)
                os.write(fd, f"{encode(event)}\n{encode(closed)}\n".encode("ascii"))
                self._lines += 2
            finally:
                os.close(fd)
        except (OSError, TypeError, ValueError):
            self.dropped += 1
            return False
        return True

    def later(self, step: Callable[[], object]) -> None:
        """Call *step* in the background thread, with the next events. It must not raise, nor take long.

        For a caller that has no time to start a thread, such as a signal's handler.
        """
        self._buffer.put(step)

    def flush(self, *, timeout_s: float = 1.0) -> bool:
        """Wait until all events written before are in the file; false after *timeout_s* seconds."""
        return self._wait_written(threading.Event(), timeout_s)

    def leave(self, *, timeout_s: float = 0.2) -> None:
        """Flush, and write the last line: the process is about to end. If it goes on, so does the file."""
        if not self._closed and self.flush(timeout_s=timeout_s):
            self._append_closed()

    def close(self, *, timeout_s: float = 1.0) -> None:
        """Flush, write the last line, and close the file. Later events are dropped."""
        if self._closed:
            return
        self._closed = True
        if self._wait_written(self._last, timeout_s):
            self._append_closed()
            os.close(self._fd)

    def abandon(self) -> None:
        """Close the file without writing: in a child after `fork` it belongs to the parent."""
        self._closed = True
        with suppress(OSError):  # the program has
            os.close(self._fd)

    def _wait_written(self, mark: threading.Event, timeout_s: float) -> bool:
        self._buffer.put(mark)
        with suppress(RuntimeError):  # somebody else has asked for it just now
            self._flush_now.release()
        return mark.wait(timeout_s)

    def _drain(self) -> None:
        while not self._last.is_set():
            batch = [collection.next_of(self._buffer)]
            if self._buffer.qsize() < BATCH:
                with collection.possible:
                    self._flush_now.acquire(True, FLUSH_S)  # a name would be an allocation
            with suppress(Empty):
                while len(batch) < BATCH:
                    batch.append(self._buffer.get_nowait())
            self._write_batch(batch)
            del batch  # or it would be kept until the next event
            self.thread_cpu_ns = time.thread_time_ns()

    def _write_batch(self, batch: Sequence[_Item]) -> None:
        lines: list[str] = []
        waiting: list[threading.Event] = []
        for item in batch:
            if isinstance(item, threading.Event):
                waiting.append(item)
                continue
            if callable(item):
                item()
                continue
            try:
                lines.append(encode(item))
            except (TypeError, ValueError, RecursionError):  # a value that JSON cannot represent
                self.dropped += 1
        if lines:
            self._append("\n".join(lines) + "\n", len(lines))
        for waiter in waiting:
            waiter.set()

    def _write(self, data: bytes) -> int:
        try:
            with collection.possible:
                return os.write(self._fd, data)
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
        # The program has closed a descriptor that it does not own.
        self._fd = self._opened(0)
        return os.write(self._fd, data)

    def _opened(self, flags: int) -> int:
        return raised(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o644))

    def _append_closed(self) -> None:
        closed = WriterClosed(at_ns=monotonic_ns(), dropped=self.dropped, lines=self._lines)
        self._append(encode(closed) + "\n", 1)

    def _append(self, text: str, events: int) -> None:
        data = text.encode("ascii")  # `json.dumps` escapes everything else
        if len(data) > self._room:
            self.dropped += events
            return
        self._room -= len(data)
        # What follows a torn line begins a new one.
        left = b"\n" + data if self._torn else data
        try:
            while left:
                left = left[self._write(left) :]
            self._torn = False
            self._lines += events
        except OSError as exc:  # a full disk
            self.error = self.error or exc.strerror or type(exc).__name__
            lost = left.count(b"\n") if len(left) <= len(data) else events
            self.dropped += lost
            self._lines += events - lost
            if len(left) <= len(data):
                self._torn = len(left) < len(data) and not data[: -len(left)].endswith(b"\n")
