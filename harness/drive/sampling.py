"""Records an unprepared process from outside: without the probe, and without stopping it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import TargetError, UsageError
from ..record.event import ArtefactWritten, Event, RunEnded, TargetStarted
from ..record.run import create, new_id, now_ns
from ..record.run_folder import RunFolder
from ..record.writer import Writer
from . import manifest
from .process import examination
from .profilers import external, tachyon
from .profilers.pyspy import PySpyRecording
from .profilers.tachyon_recording import TachyonRecording

# The scenario name of such a run.
NAME = "attach"


def sample(
    pid: int, seconds: float, out: Path | None, *, native: bool, on_start: Callable[[], None] = lambda: None
) -> RunFolder:
    """Record process *pid* for *seconds*, and return the run's folder: *out*, or a new one in `reports/`.

    With *native*, stacks include the frames of C libraries. *on_start* is called once nothing is in the way.

    Raises:
        UsageError: There is no such process, or py-spy is not installed.
        TargetError: The process cannot be recorded: it is not Python, has ended, or is another user's.
    """
    command = _command(pid)
    sampler = "tachyon" if (examination.version_of(pid) or (0, 0)) >= tachyon.LEAST else "pyspy"
    external.check([sampler], of="--sample needs")
    run = manifest.new_run(new_id(NAME), scenario=NAME, command=command, block_limit_ms=100)
    folder = create((out or Path("reports") / run.id).resolve(), run)
    error = ""
    on_start()
    writer = Writer(folder.events, "runner")
    try:
        writer.write(TargetStarted(now_ns(), pid, command))
        error = _record(pid, seconds, folder, writer, native, sampler)
    finally:
        writer.write(RunEnded(now_ns(), interrupted=False, error=error))
        writer.close()
    if error:
        raise TargetError(f"process {pid}: {error}")
    return folder


def _record(pid: int, seconds: float, folder: RunFolder, writer: Writer, native: bool, sampler: str) -> str:
    """Record the process, and return why that failed, or "" on success."""
    artefacts: list[ArtefactWritten] = []

    def write(event: Event) -> None:
        writer.write(event)
        if isinstance(event, ArtefactWritten):
            artefacts.append(event)

    kind = TachyonRecording if sampler == "tachyon" else PySpyRecording
    recording = kind(pid, folder, write, seconds=seconds, native=native)
    try:
        recording.finish()
    except KeyboardInterrupt:
        recording.finish(now=True)
    if not artefacts:
        return "nothing was recorded"
    return "" if artefacts[0].path else artefacts[0].note


def _command(pid: int) -> tuple[str, ...]:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError as exc:
        raise UsageError(f"process {pid}: there is no such process") from exc
    return tuple(word.decode(errors="backslashreplace") for word in words)
