"""py-spy reads the target's stacks from outside: a recording of every thread, or a single dump.

``--idle`` matters: by default py-spy leaves out threads that wait, and with them the very call that blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from ...record.event import Event, Frame, ThreadDump
from ...record.run_folder import RunFolder
from . import collapsed
from .attached_recording import AttachedRecording
from .permission import PTRACE

NAME = "py-spy"
RATE_HZ = 100
WRITE_WITHIN_S = 15.0
DUMP_WITHIN_S = 5.0


class PySpyRecording(AttachedRecording):
    """A recording of process *pid* and its children, which `finish` ends.

    The process is not stopped (``--nonblocking``), so it cannot be left stopped; a sample whose stack changes
    while it is read is dropped. *native* frames can only be read while the process is stopped, so then ptrace
    stops it for each sample; the kernel resumes it when py-spy ends, even by ``kill -9``.
    """

    name = NAME
    ending = ".raw"
    write_within_s = WRITE_WITHIN_S

    @property
    def pid(self) -> int | None:
        """The process id of py-spy itself."""
        return self._process.pid if self._process is not None else None

    def _command(self, *, native: bool) -> list[str]:
        py_spy = program()
        if py_spy is None:
            raise LookupError("py-spy is not installed: pip install 'asyncio-harness[profile]'")
        options = ["--idle", "--threads", "--subprocesses", "--full-filenames"]
        options += ["--native" if native else "--nonblocking"]
        length = "unlimited" if self._seconds is None else str(max(1, round(self._seconds)))
        return [
            *(py_spy, "record", *options, "--format", "raw", "--rate", str(RATE_HZ)),
            *("--duration", length, "--output", str(self._path), "--pid", str(self._pid)),
        ]

    def _keep(self, said: str) -> None:
        for event in collapsed.events(self._path.read_text(errors="replace"), self._began_ns, RATE_HZ):
            self._write(event)
        took_s = (monotonic_ns() - self._began_ns) / 1e9
        length = self._seconds if self._seconds is not None else round(took_s, 1)
        note = f"{length:g} s at {RATE_HZ} Hz, collapsed stacks"
        self._note(str(self._path.relative_to(self._folder.path)), note)

    def _why_not(self, said: str) -> str:
        # With `--subprocesses`, py-spy reports missing permission as "no such Python process".
        return _why(said) if _is_permitted(self._pid) else PTRACE


def start(pid: int, folder: RunFolder, write: Callable[[Event], object]) -> PySpyRecording:
    """Record process *pid* and its children until it ends."""
    return PySpyRecording(pid, folder, write)


async def record(pid: int, seconds: float, folder: RunFolder, write: Callable[[Event], object]) -> None:
    """Record process *pid* and its children for *seconds*; when cancelled, keep what has been recorded."""
    recording = PySpyRecording(pid, folder, write, seconds=seconds)
    finishing = asyncio.create_task(asyncio.to_thread(recording.finish))
    try:
        await asyncio.shield(finishing)
    except asyncio.CancelledError:
        # This ends the recording, for which the thread waits.
        if recording.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(recording.pid, signal.SIGINT)
        await finishing
        raise


def dump(pid: int) -> tuple[ThreadDump, ...]:
    """The threads of process *pid* at this moment; empty when they could not be read.

    The process is not stopped, so it cannot be left stopped.

    Raises:
        PermissionError: This user may not read the process, or py-spy is not installed.
    """
    py_spy = program()
    if py_spy is None:
        raise PermissionError("py-spy is not installed")
    command = [py_spy, "dump", "--json", "--nonblocking", "--pid", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_WITHIN_S)
        threads = tuple(map(_thread, json.loads(done.stdout))) if done.returncode == 0 else ()
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return ()  # the process ended, or its stacks changed while they were read
    if "ermission" in done.stderr:
        raise PermissionError("this user may not read the target's memory (ptrace)")
    return threads


def program() -> str | None:
    """The path of py-spy, or None if it is not installed."""
    # Beside this Python first: the harness may run from an environment that is not active.
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _is_permitted(pid: int) -> bool:
    """Whether this user may read the memory of process *pid*; true when it has ended."""
    try:
        # The kernel checks the same permission as when py-spy reads.
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as exc:
        return not isinstance(exc, PermissionError)
    return True


def _thread(raw: dict[str, object]) -> ThreadDump:
    frames = raw["frames"]
    assert isinstance(frames, list)
    return ThreadDump(
        name=str(raw["thread_name"] or ""),
        native_id=int(str(raw["os_thread_id"] or 0)),
        has_gil=bool(raw["owns_gil"]),
        active=bool(raw["active"]),
        stack=tuple(Frame(f["filename"], f["line"], f["name"]) for f in reversed(frames)),
    )


def _why(errors: str) -> str:
    """py-spy's reason for failing, with a remedy for the most frequent one."""
    if "ermission" in errors:
        return PTRACE
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reasons = (line.partition(":")[2].strip() for line in lines if line.startswith(("Error:", "Reason:")))
    return "; ".join(reasons) or (lines[-1] if lines else "no reason given")
