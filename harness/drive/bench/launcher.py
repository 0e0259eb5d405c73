"""Starts programs one after the other, and tells what each of them cost: a process beside the runner.

Not the runner itself: a process begins with the peak memory of the one that started it, and the runner is
larger than many a program. Nor does a program outlive the runner: the launcher sees its stdin close, ends
what runs, removes the folder that it was given, and leaves.

It reads one order per line from stdin, as JSON, and answers each with one line on stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any

# How long a program that is asked to end may take for it.
END_WITHIN_S = 5.0


def _main() -> None:
    # Unbuffered, since what is buffered cannot be waited for.
    for line in iter(_read_line, b""):
        answer = _run(json.loads(line))
        # A runner that has gone takes none.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        got = os.read(0, 1)
        if not got:
            return b""
        line += got
    return line


def _run(order: dict[str, Any]) -> dict[str, object]:
    command, env = order["command"], order["env"]
    try:
        os.chdir(order["cwd"])
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *(
                (os.POSIX_SPAWN_OPEN, number, order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                for number, name in ((1, "stdout"), (2, "stderr"))
            ),
        ]
        began_ns = time.perf_counter_ns()
        pid = os.posix_spawn(order["program"], command, env, file_actions=files, setpgroup=0)
    except OSError as exc:
        return {"error": exc.strerror or str(exc), "errno": exc.errno}
    ended, is_late = _wait(pid, order["within_s"])
    if not ended:
        _end(pid)
    _, status, usage = os.wait4(pid, 0)
    wall_ms = (time.perf_counter_ns() - began_ns) / 1e6
    _kill_group(pid)  # its children would run beside the next program
    return {
        "status": os.waitstatus_to_exitcode(status),
        "is_late": is_late,
        "wall_ms": wall_ms,
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }


def _wait(pid: int, within_s: float) -> tuple[bool, bool]:
    """Whether the process has ended, and if not, whether it was too late; else the runner has gone."""
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(0, select.POLLHUP)
        ready = poll.poll(within_s * 1000)
    finally:
        os.close(fd)
    return any(which == fd for which, _ in ready), not ready


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    fd = os.pidfd_open(pid)
    try:
        if not select.select([fd], [], [], END_WITHIN_S)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(fd)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    _main()
    os._exit(0)  # without the flush of what a runner that has gone does not take
