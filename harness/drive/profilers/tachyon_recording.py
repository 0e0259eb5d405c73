"""A recording by the standard library's sampling profiler: its own pages, and samples for the record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...record.event import Event, Frame
from ...record.run_folder import RunFolder
from . import tachyon
from .attached_recording import AttachedRecording
from .outside_stacks import OutsideStack, events

RATE_HZ = 1000
# Above the numbers of frames that the probe and py-spy use for the same process.
FIRST_FRAME = 1 << 33
END_WITHIN_S = 30.0
# Reads the samples back, in the interpreter that has recorded them.
READER = Path(__file__).with_name("tachyon_reader.py")


class TachyonRecording(AttachedRecording):
    """A recording of all threads of process *pid*, which `finish` ends. The process is not stopped."""

    name = "tachyon"
    ending = ".bin"
    write_within_s = END_WITHIN_S
    tells_on_stdout = True

    def finish(self, *, now: bool = False) -> None:
        if self._process is not None:
            self._names |= tachyon.thread_names(self._pid)
        super().finish(now=now)

    def _command(self, *, native: bool) -> list[str]:
        self._names = tachyon.thread_names(self._pid)
        try:
            self._python = tachyon.interpreter(self._pid)
        except LookupError as exc:
            raise LookupError(f"no recording: {exc}") from exc
        options = ["--all-threads", "--sampling-rate", str(RATE_HZ), "--binary", "--output", str(self._path)]
        options += ["--native"] if native else []
        options += [] if self._seconds is None else ["--duration", str(max(1, round(self._seconds)))]
        return [self._python, *tachyon.MODULE, "attach", *options, str(self._pid)]

    def _environment(self) -> Mapping[str, str]:
        return tachyon.environment()

    def _why_not(self, said: str) -> str:
        return tachyon.why(said)

    def _keep(self, said: str) -> None:
        taken = [line.strip() for line in said.splitlines() if line.startswith(("Captured", "Error rate"))]
        self._note(self._relative(self._path), "; ".join([f"{RATE_HZ} Hz", *taken]))
        for option, path, shown in (
            ("--flamegraph", self._path.with_suffix(".html"), "flame graph"),
            ("--heatmap", self._path.with_name(f"tachyon-{self._pid}-heatmap"), "heatmap of source lines"),
        ):
            errors = self._run(*tachyon.MODULE, "replay", option, "--output", str(path), str(self._path))
            page = path / "index.html" if path.is_dir() else path
            made = page.exists()
            self._note(self._relative(page) if made else "", shown if made else f"no {shown}: {errors}")
        stacks = list(self._stacks())
        for event in events(stacks, self._began_ns, RATE_HZ, first=FIRST_FRAME):
            self._write(event)

    def _stacks(self) -> Iterator[OutsideStack]:
        output = self._path.with_suffix(".jsonl")
        errors = self._run("-I", "-S", str(READER), str(self._path), str(output))
        if not output.exists():
            self._note("", f"its samples could not be read: {errors}")
            return
        for line in output.read_text(errors="replace").splitlines():
            thread, count, frames = json.loads(line)
            name = self._names.get(thread, f"thread {thread}")
            yield OutsideStack(self._pid, name, [Frame(*frame) for frame in frames], count)
        output.unlink()

    def _run(self, *arguments: str) -> str:
        """Run the target's interpreter, and return why it failed, "" if it did not."""
        try:
            done = subprocess.run(
                [self._python, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=END_WITHIN_S,
                env=tachyon.environment(),
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            return str(exc)
        return tachyon.why(done.stderr) if done.returncode else ""

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._folder.path))


def start(pid: int, folder: RunFolder, write: Callable[[Event], object]) -> TachyonRecording:
    """Record process *pid* until it ends."""
    return TachyonRecording(pid, folder, write)


def program() -> str | None:
    """It is a part of the target's own Python, so there is nothing to install."""
    return tachyon.NAME
