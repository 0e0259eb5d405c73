"""Runs the command `harness` as people do, and sees what it leaves: output, status, record, processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

from harness.record.event import WriterOpened
from harness.record.run_folder import RunFolder
from tests.support.process import Heard
from tests.support.recorded import E, recorded
from tests.support.schema import check_report

T = TypeVar("T")

COMMAND = (sys.executable, "-m", "harness")
# Takes from root what it may by itself: to look into any process.
WITHOUT_PTRACE = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--")
MARK = "HARNESS_TEST_MARK"

# The chaos service under a little load; generous where a crowded machine would be late.
SERVICE = """
    [target]
    kind = "mayhem"
    settings = { hosts = 12 }
    [load]
    sender = "sqlite"
    rate_per_s = 60
    duration_s = 30
    max_late_ms = 2000
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended, and the run's folder."""

    status: int
    stdout: str
    stderr: str
    folder: RunFolder

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder.path / "report.json").read_text())
        check_report(report)
        return report


class Running:
    """A command under way. What it starts inherits a mark, so nothing of it can hide."""

    def __init__(self, process: Heard, folder: RunFolder, mark: str) -> None:
        self.process = process
        self.folder = folder
        self._mark = mark

    def events(self, kind: type[E]) -> list[E]:
        """What the record holds by now."""
        return recorded(self.folder.events, kind)

    def wait_event(self, kind: type[E], count: int = 1) -> E:
        """Wait until the record holds that many of them; the last one."""
        return wait(lambda: self.events(kind)[count - 1 :])[-1]

    def pid_of(self, role: str) -> int:
        """The process that writes in this role, once it does."""
        return wait(lambda: [e.pid for e in self.events(WriterOpened) if e.role == role])[0]

    def ended(self, *, within_s: float = 60.0) -> Ended:
        """Wait for its end."""
        stdout, stderr = self.process.communicate(timeout=within_s)
        return Ended(self.process.returncode, stdout, stderr, self.folder)

    def processes(self) -> dict[int, str]:
        """The processes that live, of all that the command started, and it itself."""
        found = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in environ.read_bytes():
                    cmdline = (environ.parent / "cmdline").read_bytes()
                    found[int(environ.parent.name)] = cmdline.replace(b"\0", b" ").decode()
            except OSError:  # it ended meanwhile, or is another user's
                continue
        return found

    def all_gone(self) -> bool:
        """Whether nothing lives any more; what only needs a moment gets it."""
        return wait(lambda: not self.processes())


@contextmanager
def running(
    *arguments: object,
    cwd: Path,
    out: str = "run",
    env: dict[str, str] | None = None,
    start_new_session: bool = False,
) -> Iterator[Running]:
    """A sub-command with its options, writing its record to *out*; nothing of it outlives the block."""
    sub_command, *rest = map(str, arguments)
    mark = f"{MARK}={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    process = Heard(
        [*COMMAND, sub_command, "--out", out, *rest],
        cwd=cwd,
        env={**os.environ, **(env or {}), name: value},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=start_new_session,
    )
    run = Running(process, RunFolder(cwd / out), mark)
    try:
        yield run
    finally:
        for pid in run.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def harness(*arguments: object, cwd: Path, out: str = "run", env: dict[str, str] | None = None) -> Ended:
    """Carry out a sub-command to its end."""
    with running(*arguments, cwd=cwd, out=out, env=env) as run:
        ended = run.ended()
        assert run.all_gone()
    return ended


class Terminal:
    """A command on a terminal of its own, with somebody who reads and types."""

    def __init__(self, command: Sequence[str], *, cwd: Path, columns: int = 80) -> None:
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            # Its width is the terminal's own, and not what a test runner has set.
            env={**os.environ, "TERM": "xterm", "COLUMNS": "", "LINES": ""},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text: str, *, within_s: float = 60.0) -> None:
        """Read until that was shown."""
        deadline = time.monotonic() + within_s
        while text not in self.shown:
            readable, _, _ = select.select([self._end], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"no {text!r} within {within_s:g} s: {self.shown}"
            assert self._read(), f"it ended without {text!r}: {self.shown}"

    def type(self, text: str) -> None:
        """Type, and forget what was shown before."""
        self.shown = ""
        os.write(self._end, text.encode())

    def ended(self) -> int:
        """Read to the end; its status."""
        try:
            while self._read():
                pass
            return self._process.wait(timeout=20)
        finally:
            os.close(self._end)

    def _read(self) -> bool:
        try:
            data = os.read(self._end, 65536)
        except OSError:  # how a terminal says that nobody is at its other end
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def scenario(folder: Path, text: str = SERVICE) -> Path:
    """A scenario's file."""
    path = folder / "scenario.toml"
    path.write_text(dedent(text))
    return path


def wait(condition: Callable[[], T | None], *, within_s: float = 60.0) -> T:
    """Wait until the condition holds; what it gave."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {found!r} after {within_s:g} s")
        time.sleep(0.05)
    return found
