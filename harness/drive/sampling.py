"""Records a process from outside that nobody prepared: no probe is in it, and it is not stopped for it."""

from __future__ import annotations

from pathlib import Path

from ..errors import TargetError, UsageError
from ..record.event import ArtefactWritten, Event, RunEnded, TargetStarted
from ..record.run import RunFolder, create, new_id, now_ns
from ..record.writer import Writer
from . import manifest
from .profilers import external, pyspy

# What a run of this kind is called.
NAME = "attach"


def sample(pid: int, seconds: float, out: Path | None, *, native: bool) -> RunFolder:
    """Record process *pid* for *seconds*; the folder of the record, by default a new one in `reports/`.

    With *native*, frames of libraries in C are in the stacks, too.

    Raises:
        UsageError: There is no such process, or no py-spy.
        TargetError: It cannot be recorded: it is not Python, ended, or belongs to somebody else.
    """
    external.check(["pyspy"])
    command = _command(pid)
    run = manifest.new_run(new_id(NAME), scenario=NAME, command=command, block_limit_ms=100)
    folder = create((out or Path("reports") / run.id).resolve(), run)
    error = ""
    writer = Writer(folder.events, "runner")
    try:
        writer.write(TargetStarted(now_ns(), pid, command))
        error = _record(pid, seconds, folder, writer, native)
    finally:
        writer.write(RunEnded(now_ns(), interrupted=False, error=error))
        writer.close()
    if error:
        raise TargetError(f"process {pid}: {error}")
    return folder


def _record(pid: int, seconds: float, folder: RunFolder, writer: Writer, native: bool) -> str:
    """Record; why it was not possible, "" when it was."""
    told: list[ArtefactWritten] = []

    def write(event: Event) -> None:
        writer.write(event)
        if isinstance(event, ArtefactWritten):
            told.append(event)

    recording = pyspy.Recording(pid, folder, write, seconds=seconds, native=native)
    try:
        recording.finish()
    except KeyboardInterrupt:
        recording.finish(now=True)
    return "" if told and told[-1].path else told[-1].note if told else "nothing was recorded"


def _command(pid: int) -> tuple[str, ...]:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError as exc:
        raise UsageError(f"process {pid}: there is no such process") from exc
    return tuple(word.decode(errors="backslashreplace") for word in words)
