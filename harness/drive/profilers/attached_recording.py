"""A recording of a running process by a profiler in a process of its own: what all such recordings share."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from time import monotonic_ns

from ...record.event import ArtefactWritten, Event
from ...record.run_folder import RunFolder
from . import recorder_process


class AttachedRecording:
    """A recording of process *pid*, which `finish` ends."""

    name: str
    ending: str  # of the profiler's file
    # The profiler writes its file after the recording; a large file takes a while.
    write_within_s: float
    tells_on_stdout = False

    def __init__(
        self,
        pid: int,
        folder: RunFolder,
        write: Callable[[Event], object],
        *,
        seconds: float | None = None,
        native: bool = False,
    ) -> None:
        """Record for *seconds*, or by default until the process ends or `finish` is called."""
        self._pid = pid
        self._folder = folder
        self._write = write
        self._seconds = seconds
        self._began_ns = monotonic_ns()
        self._path = folder.artefacts / f"{self.name}-{pid}{self.ending}"
        # Not a pipe: a long recording prints many errors, which are only read when it ends.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `finish` closes it
        self._process: subprocess.Popen[bytes] | None = None
        try:
            command = self._command(native=native)
        except LookupError as exc:
            self._note("", str(exc))
            return
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._errors if self.tells_on_stdout else subprocess.DEVNULL,
            stderr=self._errors,
            env=self._environment(),
            process_group=0,  # a Ctrl-C is for the runner
        )

    def finish(self, *, now: bool = False) -> None:
        """Wait for the recording to end and record its samples; *now* stops it early, and keeps what it has.

        A failure becomes a note in the record.
        """
        if self._process is not None:
            # May be interrupted, and called again.
            within_s = (0 if now else self._seconds or 0) + self.write_within_s
            recorder_process.wait(self._process, within_s, now=now)
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            if self._path.exists():
                self._keep(said)
            else:
                self._note("", f"no recording: {self._why_not(said)}")
        self._errors.close()

    def _command(self, *, native: bool) -> list[str]:
        """The profiler's command.

        Raises:
            LookupError: There is none, for the reason that it says.
        """
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str] | None:
        """The environment of that command; by default, the runner's."""
        return None

    def _keep(self, said: str) -> None:
        """Record the samples of the file; *said* is what the profiler has printed."""
        raise NotImplementedError

    def _why_not(self, said: str) -> str:
        """Why there is no file."""
        raise NotImplementedError

    def _note(self, path: str, note: str) -> None:
        self._write(ArtefactWritten(monotonic_ns(), self.name, path, note))
