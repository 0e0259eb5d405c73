"""``strace -c``: the system calls of a process and its threads, with counts and times.

Each system call stops the process twice, so no time in the report is valid under strace.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from time import monotonic_ns

from ...record.event import ArtefactWritten, Event
from ...record.run_folder import RunFolder
from . import recorder_process
from .permission import PTRACE

WRITE_WITHIN_S = 5.0


class StraceRecording:
    """A summary of the system calls of process *pid*, its threads and its children, written by `finish`."""

    name = "strace"

    def __init__(self, pid: int, folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._folder = folder
        self._write = write
        self._path = folder.artefacts / f"strace-{pid}.txt"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `finish` closes it
        self._process = subprocess.Popen(
            [str(program()), "-c", "-f", "-q", "-o", str(self._path), "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            process_group=0,  # a Ctrl-C is for the runner
        )

    def finish(self, *, now: bool = False) -> None:
        """Wait for strace, which ends with the process, and write the summary; *now* stops it."""
        recorder_process.wait(self._process, WRITE_WITHIN_S, now=now)
        if self._path.exists() and self._path.stat().st_size:
            self._write_artefact(str(self._path.relative_to(self._folder.path)), "system calls by time")
        else:
            self._errors.seek(0)
            why = self._errors.read().decode(errors="replace").strip() or "no reason given"
            self._write_artefact("", f"no summary: {PTRACE if 'ermitted' in why else why.splitlines()[-1]}")
        self._errors.close()

    def _write_artefact(self, path: str, note: str) -> None:
        self._write(ArtefactWritten(monotonic_ns(), self.name, path, note))


def start(pid: int, folder: RunFolder, write: Callable[[Event], object]) -> StraceRecording:
    """Trace process *pid*, its threads and its children until it ends."""
    return StraceRecording(pid, folder, write)


def program() -> str | None:
    """The path of strace, or None if it is not installed."""
    return shutil.which("strace")
