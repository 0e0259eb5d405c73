"""The end of a profiler's own process, which writes its file after the recording."""

from __future__ import annotations

import signal
import subprocess


def wait(process: subprocess.Popen[bytes], within_s: float, *, now: bool) -> None:
    """Wait for its end and kill it after *within_s* seconds; *now* asks it to end, by SIGINT."""
    if now:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then resumes what it has stopped
        process.wait()
