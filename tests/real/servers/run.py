"""Runs one server from its start to its end, bare or watched, with requests in between."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.real.servers.answers import Answer, driven
from tests.real.servers.table import Case, Ending, Reload
from tests.support.port import free_port

T = TypeVar("T")

PROGRAMS = Path(__file__).parents[1] / "programs"
MARK = "REAL_SERVER_MARK"
HARNESS = (sys.executable, "-m", "harness", "watch", "--out", "run", "--")
# `exec` keeps the process; what the program prints is apart from what the harness does.
APART = ("sh", "-c", 'exec "$@" >stdout 2>stderr', "sh")
PATIENCE_S = 40.0


@dataclass(frozen=True, slots=True)
class Served:
    """A server that ended."""

    status: int  # as in `Popen.returncode`
    stdout: str
    stderr: str
    rounds: list[list[Answer]]  # before a reload and after it
    workers: list[set[int]]  # the processes that served in each
    left: dict[int, str]  # processes that outlived it

    @property
    def answers(self) -> list[Answer]:
        return [answer for answers in self.rounds for answer in answers]


def serve(case: Case, folder: Path, programs: Path, broker_port: int, *, is_watched: bool) -> Served:
    """Start it in *folder*, which must not exist, ask, make it replace its workers, ask again, and end it."""
    shutil.copytree(PROGRAMS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    rounds, workers = [], []
    with _started(case, folder, programs, port, broker_port, is_watched=is_watched) as server:
        workers.append(server.new_workers(case.server.workers, set()))
        rounds.append(driven(programs, case.server.protocol, broker_port or port))
        if case.server.reload is not None:
            server.replace_workers(case.server.reload)
            workers.append(server.new_workers(case.server.workers, workers[0]))
            _wait(
                lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers[0]), "the old workers' end"
            )
            rounds.append(driven(programs, case.server.protocol, broker_port or port))
        status = server.end(case.ending)
        left = {} if _vanished(server) else server.processes()
    stdout, stderr = (
        (folder / name).read_text().replace(str(folder), "FOLDER") for name in ("stdout", "stderr")
    )
    return Served(status, stdout, stderr, rounds, workers, left)


class _Server:
    """A server under way."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int, folder: Path, mark: str) -> None:
        self._process, self._terminal, self._folder, self._mark = process, terminal, folder, mark

    def new_workers(self, count: int, before: set[int]) -> set[int]:
        """Wait until that many more serve than *before*."""

        def found() -> set[int] | None:
            assert self._process.poll() is None, (self._folder / "stderr").read_text()
            ready = {int(path.name.partition("-")[2]) for path in self._folder.glob("ready-*")} - before
            return ready if len(ready) >= count else None

        return _wait(found, f"{count} workers that serve")

    def replace_workers(self, how: Reload) -> None:
        if how is Reload.HANGUP:
            self._process.send_signal(signal.SIGHUP)
        else:
            # One that the server has not seen before: the clock of files is coarse.
            later_ns = time.time_ns() + 2_000_000_000
            os.utime(self._folder / "shop.py", ns=(later_ns, later_ns))

    def end(self, how: Ending) -> int:
        if how is Ending.TYPED:
            os.write(self._terminal, b"\x03")
        else:
            self._process.send_signal(how.number)
        return self._process.wait(PATIENCE_S)

    def processes(self) -> dict[int, str]:
        """The processes of it that live."""
        found = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in environ.read_bytes():
                    command = (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(environ.parent.name)] = command
            except OSError:  # it ended meanwhile, or is another user's
                continue
        return found


@contextmanager
def _started(
    case: Case, folder: Path, programs: Path, port: int, broker_port: int, *, is_watched: bool
) -> Iterator[_Server]:
    command = case.command(port)
    if command[0].endswith(".py"):
        command.insert(0, "python")
    command[0] = str(programs / command[0])
    mark = uuid.uuid4().hex
    ours, theirs = pty.openpty()
    with (folder / "harness.txt").open("wb") as words:
        process = subprocess.Popen(
            [*(HARNESS if is_watched else ()), *APART, *command],
            cwd=folder,
            env={
                **{
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(("PYTEST", "COLUMNS"))
                },
                "PYTHONDONTWRITEBYTECODE": "1",
                "PATH": f"{programs}:{os.environ['PATH']}",
                "BROKER_PORT": str(broker_port),
                MARK: mark,
            },
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=words,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    os.close(theirs)
    server = _Server(process, ours, folder, mark)
    try:
        yield server
    finally:
        for pid in server.processes():
            os.kill(pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def _vanished(server: _Server) -> bool:
    """Whether nothing of it lives; what only needs a moment gets it."""
    deadline = time.monotonic() + 5
    while server.processes():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _wait(condition: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no sign of {what} within {PATIENCE_S:g} s"
        time.sleep(0.05)
    return found
