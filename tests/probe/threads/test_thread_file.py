"""Descriptors of the kernel's files about threads, and forks in the midst of reading them."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import Any

from harness.probe.threads import thread_file


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
