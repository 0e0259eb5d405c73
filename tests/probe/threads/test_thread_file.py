"""Descriptors of the kernel's files about threads, and forks in the midst of reading them."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from harness.probe.threads import thread_file
from harness.record.hidden_thread import Background
from harness.record.process import collection


def test_at_no_instruction_is_a_number_noted_that_is_closed() -> None:
    """Another thread may get it for a file of the program and fork then, and the child would close that."""
    noted: list[int] = []
    closed: list[tuple[int, int]] = []

    def trace(frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code.co_filename != thread_file.__file__:
            return None
        frame.f_trace_opcodes = True
        for number in thread_file._open:
            noted.append(number)
            try:
                os.fstat(number)
            except OSError:
                closed.append((frame.f_lineno, number))
        return trace

    own = sys.gettrace()
    sys.settrace(trace)
    try:
        thread_file.read_path("/proc/self/stat")
        thread_file.close(thread_file.opened(threading.get_native_id(), "schedstat"))
    finally:
        sys.settrace(own)

    assert len(set(noted)) >= 2  # the lowest free number, and a high one
    assert closed == []
    assert not thread_file._open.intersection(noted)


def test_the_program_may_collect_while_a_file_is_read(tmp_path: Path) -> None:
    """A thread of the probe that works is without the GIL then, and the program's garbage would pile up."""
    before, fifo = gc.get_threshold(), tmp_path / "slow"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)  # now it can be opened, and read once something is written
    collection.spare()
    read: list[bytes] = []

    def work() -> None:
        with collection.elsewhere:
            read.append(thread_file.read_path(str(fifo)))

    thread = Background(work)
    ends = time.monotonic() + 10
    while not (thread_file._open and gc.get_threshold() == before) and time.monotonic() < ends:
        time.sleep(0.001)
    while_reading = gc.get_threshold()
    os.write(end, b"done")
    thread.join()
    os.close(end)

    assert while_reading == before
    assert read == [b"done"]
    assert gc.get_threshold() == before
