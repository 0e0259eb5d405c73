"""py-spy looks at the target from outside: a recording of every thread, as collapsed stacks, or one look.

``--idle`` is not a detail: by default py-spy leaves out threads that wait, and so the very call that blocks.
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
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from ...record.event import ArtefactWritten, Event, Frame, ThreadDump
from ...record.run import RunFolder
from . import collapsed

RATE_HZ = 100
# py-spy writes its file after the recording; a large one takes a while.
WRITE_WITHIN_S = 15.0
DUMP_WITHIN_S = 5.0
# What helps where ptrace is not permitted.
PTRACE = (
    "this user may not look into the process (ptrace): run as root, set kernel.yama.ptrace_scope to 0, "
    "or give the container the capability SYS_PTRACE"
)


class Recording:
    """A recording of process *pid* and its children, from now on; ended by `finish`.

    The process is not stopped for it (``--nonblocking``), so nothing can leave it stopped; some looks see a
    stack that changes, and are given up. *native* frames are only to be had while it stands still, so there
    it is stopped for each look, by ptrace: the kernel lets it go when py-spy ends, be it by ``kill -9``.
    """

    name = "py-spy"

    def __init__(
        self,
        pid: int,
        folder: RunFolder,
        write: Callable[[Event], object],
        *,
        seconds: float | None = None,
        native: bool = False,
    ) -> None:
        """With *seconds* it lasts so long, else until the process ends, or until `finish`."""
        self._folder = folder
        self._write = write
        self._seconds = seconds
        self._path = folder.artefacts / f"py-spy-{pid}.raw"
        self._began_ns = monotonic_ns()
        self._pid = pid
        # Not a pipe: a long recording has many errors to tell, and nobody reads them until it ends.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `finish` closes it
        self._process: subprocess.Popen[bytes] | None = None
        py_spy = program()
        if py_spy is None:
            self._tell("", "py-spy is not installed: pip install 'asyncio-harness[profile]'")
            return
        options = ["--idle", "--threads", "--subprocesses", "--full-filenames"]
        options += ["--native" if native else "--nonblocking"]
        length = "unlimited" if seconds is None else str(max(1, round(seconds)))
        self._process = subprocess.Popen(
            [
                *(py_spy, "record", *options, "--format", "raw", "--rate", str(RATE_HZ)),
                *("--duration", length, "--output", str(self._path), "--pid", str(pid)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            process_group=0,  # a Ctrl-C is for the runner
        )

    @property
    def pid(self) -> int | None:
        """Of py-spy itself."""
        return self._process.pid if self._process is not None else None

    def finish(self, *, now: bool = False) -> None:
        """Wait for its end, which comes *now* with what there is; then put its samples into the record.

        What stands in the way is a note in the record.
        """
        process = self._process
        if process is None:
            return
        if now:
            process.send_signal(signal.SIGINT)
        try:
            process.wait((0 if now else self._seconds or 0) + WRITE_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._path.exists():
            for event in collapsed.events(self._path.read_text(errors="replace"), self._began_ns, RATE_HZ):
                self._write(event)
            took_s = (monotonic_ns() - self._began_ns) / 1e9
            length = self._seconds if self._seconds is not None else round(took_s, 1)
            note = f"{length:g} s at {RATE_HZ} Hz, collapsed stacks"
            self._tell(str(self._path.relative_to(self._folder.path)), note)
        else:
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace")
            # With `--subprocesses` it does not say so, but that there is no such Python process.
            why = _why(errors) if _is_permitted(self._pid) else PTRACE
            self._tell("", f"no recording: {why}")
        self._errors.close()

    def _tell(self, path: str, note: str) -> None:
        self._write(ArtefactWritten(monotonic_ns(), self.name, path, note))


async def record(pid: int, seconds: float, folder: RunFolder, write: Callable[[Event], object]) -> None:
    """Record process *pid* and its children for *seconds*; cancelled, it keeps what there is."""
    recording = Recording(pid, folder, write, seconds=seconds)
    finishing = asyncio.create_task(asyncio.to_thread(recording.finish))
    try:
        await asyncio.shield(finishing)
    except asyncio.CancelledError:
        # The thread waits for its end, which comes now.
        if recording.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(recording.pid, signal.SIGINT)
        await finishing
        raise


def dump(pid: int) -> tuple[ThreadDump, ...]:
    """The threads of process *pid* as they are at this moment; none when it cannot be told.

    The process is not stopped for that, and so never left in that state.

    Raises:
        PermissionError: This user may not look into it, or py-spy is not installed.
    """
    py_spy = program()
    if py_spy is None:
        raise PermissionError("py-spy is not installed")
    command = [py_spy, "dump", "--json", "--nonblocking", "--pid", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_WITHIN_S)
        threads = tuple(map(_thread, json.loads(done.stdout))) if done.returncode == 0 else ()
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return ()  # it ended meanwhile, or changed under the look
    if "ermission" in done.stderr:
        raise PermissionError("this user may not read the target's memory (ptrace)")
    return threads


def program() -> str | None:
    """Where py-spy is, if it is installed."""
    # Beside this Python first: the harness may run from an environment that is not activated.
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _is_permitted(pid: int) -> bool:
    """Whether this user may read the memory of process *pid*; also when it has ended."""
    try:
        # The kernel asks for the same right as when py-spy reads.
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
    """py-spy's reason, with what can be done about the most frequent one."""
    if "ermission" in errors:
        return PTRACE
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = (line.partition(":")[2].strip() for line in lines if line.startswith(("Error:", "Reason:")))
    return "; ".join(told) or (lines[-1] if lines else "no reason given")
