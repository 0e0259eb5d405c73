"""How to attach to a process: a small file beside its console's socket, in a folder private to its owner.

The folder is per user and not per run, so that `harness attach` finds a console by its pid alone. The file
contains the telnet token, so it must not leave the folder.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import HarnessError

FOLDER = "asyncio-harness"
# Linux limits the path of a socket to 108 bytes, including the final NUL.
SUN_PATH_BYTES = 107
# Upper bound on the length of a name in the folder: `<pid>-<hex>.sock`.
_NAME_BYTES = 40


class FolderRefusedError(HarnessError):
    """The folder for sockets is not safe to use."""


@dataclass(frozen=True, slots=True)
class ConsoleEndpoint:
    """One process with a console."""

    pid: int
    ticks: int  # start time of the process by the kernel's clock, since pids are reused
    program: tuple[str, ...]
    started: str  # when the console opened, ISO 8601
    socket: str
    port: int | None  # of loopback, for telnet
    token: str  # the first line that telnet must send, "" without a port
    allow: tuple[str, ...]
    folder: str  # the run's folder, "" for a program outside a run
    pages: str  # the folder of its loops' counters (`page.py`)
    application: tuple[str, ...]  # as in `LoopStarted`
    libraries: tuple[str, ...]


def folders() -> list[Path]:
    """The folders that can hold endpoints of this user; new ones go into the first.

    There are several, because a service may have been started without the variables that a login sets.
    """
    uid = os.geteuid()
    places = [Path(os.environ.get("TMPDIR") or "/tmp") / f"{FOLDER}-{uid}", Path(f"/tmp/{FOLDER}-{uid}")]  # noqa: S108
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # After `su` the variable may name another user's folder.
    if runtime and _owner(Path(runtime)) == uid:
        places.insert(0, Path(runtime, FOLDER))
    room = SUN_PATH_BYTES - _NAME_BYTES - 1
    return [place for place in dict.fromkeys(places) if len(os.fsencode(place)) <= room]


def new_folder() -> Path:
    """The folder for a new endpoint, created if necessary.

    Raises:
        FolderRefusedError: It belongs to another user, or other users can enter it.
        OSError: It cannot be created.
    """
    place = folders()[0]
    place.mkdir(mode=0o700, exist_ok=True)
    if why := _unsafe(place):
        raise FolderRefusedError(f"{place}: {why}")
    return place


def write(path: Path, card: ConsoleEndpoint) -> None:
    """Write a new endpoint atomically, so that it is never read half written.

    Raises:
        OSError: It cannot be written.
    """
    aside = path.with_suffix(".new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(asdict(card)) + "\n")
    aside.rename(path)


def read(path: Path) -> ConsoleEndpoint | None:
    """The endpoint in a file, or None if the file is missing or is not one."""
    try:
        raw = json.loads(path.read_text())
        lists = {name: tuple(raw[name]) for name in ("program", "allow", "application", "libraries")}
        return ConsoleEndpoint(**{name: raw[name] for name in ConsoleEndpoint.__slots__} | lists)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def endpoints() -> Iterator[tuple[Path, ConsoleEndpoint]]:
    """All endpoints of this user, including those of ended processes; oldest first within each folder."""
    for place in folders():
        if _unsafe(place):
            continue  # its files may have been written by another user
        for path in sorted(place.glob("*.json"), key=lambda path: path.name.rpartition("-")[2]):
            card = read(path)
            if card is not None:
                yield path, card


def is_alive(card: ConsoleEndpoint) -> bool:
    """Whether the endpoint's process is alive."""
    return ticks_of(card.pid) == card.ticks


def remove(path: Path, card: ConsoleEndpoint) -> None:
    """Remove the files of an ended process that could not do so itself."""
    path.unlink(missing_ok=True)
    Path(card.socket).unlink(missing_ok=True)
    # A program outside a run also keeps its counters in this folder.
    if Path(card.pages).is_relative_to(path.parent):
        import shutil  # imported here: it loads three compression libraries, which no target should pay for

        shutil.rmtree(Path(card.pages).parent, ignore_errors=True)


def ticks_of(pid: int) -> int | None:
    """The start time of a process, in clock ticks since boot; None if there is no such process."""
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The program's name, in brackets, may contain anything.
    fields = stat_line.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _owner(place: Path) -> int | None:
    try:
        return place.stat().st_uid
    except OSError:
        return None


def _unsafe(place: Path) -> str:
    """Why the folder must not be used, or "" if it may. A folder that does not exist is unsafe."""
    try:
        found = place.lstat()
    except OSError as exc:
        return exc.strerror or "it cannot be read"
    if not stat.S_ISDIR(found.st_mode):
        return "not a folder"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}"
    if found.st_mode & 0o077:
        return f"others can enter it (mode {stat.S_IMODE(found.st_mode):o}, expected 700)"
    return ""
