"""How to attach to a process: a small file beside its console's socket, in a folder for its owner alone.

The folder is per user, not per run, so that `harness attach` finds a console by its pid alone. Whoever can
read a card may use its token: neither leaves the folder.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import HarnessError

FOLDER = "asyncio-harness"
# The kernel takes no longer path for a socket: 108 bytes with its end.
SUN_PATH_BYTES = 107
# Longer than any name in the folder: `<pid>-<hex>.sock`.
_NAME_BYTES = 40


class FolderRefusedError(HarnessError):
    """The folder for sockets is not safe to use."""


@dataclass(frozen=True, slots=True)
class ConsoleEndpoint:
    """One process with a console."""

    pid: int
    ticks: int  # when the process started, by the kernel's clock: a pid is used again
    program: tuple[str, ...]
    started: str  # when the console opened, ISO 8601
    socket: str
    port: int | None  # of loopback, for telnet
    token: str  # what telnet must say first, "" without a port
    allow: tuple[str, ...]
    folder: str  # the run's, "" for a program that is not part of a run
    pages: str  # the folder of its loops' counters (`page.py`)
    application: tuple[str, ...]  # as in `LoopStarted`
    libraries: tuple[str, ...]


def folders() -> list[Path]:
    """Where cards of this user can lie, the place for new ones first.

    More than one: a service may have been started without the variables that a login sets.
    """
    uid = os.geteuid()
    places = [Path(os.environ.get("TMPDIR") or "/tmp") / f"{FOLDER}-{uid}", Path(f"/tmp/{FOLDER}-{uid}")]  # noqa: S108
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Another user's is left over from `su`.
    if runtime and _owner(Path(runtime)) == uid:
        places.insert(0, Path(runtime, FOLDER))
    return [
        place
        for place in dict.fromkeys(places)
        if len(os.fsencode(place)) + 1 + _NAME_BYTES <= SUN_PATH_BYTES
    ]


def new_folder() -> Path:
    """The folder for a new card, made if need be.

    Raises:
        FolderRefusedError: It is not ours, or others can enter it.
        OSError: It cannot be made.
    """
    place = folders()[0]
    place.mkdir(mode=0o700, exist_ok=True)
    if why := _unsafe(place):
        raise FolderRefusedError(f"{place}: {why}")
    return place


def write(path: Path, card: ConsoleEndpoint) -> None:
    """Put a new card where nobody reads half of it.

    Raises:
        OSError: It cannot be written.
    """
    aside = path.with_suffix(".new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(asdict(card)) + "\n")
    aside.rename(path)


def read(path: Path) -> ConsoleEndpoint | None:
    """The card in a file; `None` when it is gone, or none."""
    try:
        raw = json.loads(path.read_text())
        lists = {name: tuple(raw[name]) for name in ("program", "allow", "application", "libraries")}
        return ConsoleEndpoint(**{name: raw[name] for name in ConsoleEndpoint.__slots__} | lists)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def endpoints() -> Iterator[tuple[Path, ConsoleEndpoint]]:
    """All cards of this user, also those of processes that have ended; oldest first in a folder."""
    for place in folders():
        if _unsafe(place):
            continue  # whatever lies there was not written by us
        for path in sorted(place.glob("*.json"), key=lambda path: path.name.rpartition("-")[2]):
            card = read(path)
            if card is not None:
                yield path, card


def is_alive(card: ConsoleEndpoint) -> bool:
    """Whether the process of a card lives."""
    return ticks_of(card.pid) == card.ticks


def remove(path: Path, card: ConsoleEndpoint) -> None:
    """Clean up after a process that could not do so itself."""
    path.unlink(missing_ok=True)
    Path(card.socket).unlink(missing_ok=True)
    # The counters of a program without a run lie here, too.
    if Path(card.pages).is_relative_to(path.parent):
        import shutil  # it imports three libraries for compression, which a target should not pay for

        shutil.rmtree(Path(card.pages).parent, ignore_errors=True)


def ticks_of(pid: int) -> int | None:
    """When the process started, in ticks since the machine did; `None` when there is no such process."""
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The program's name, in brackets, may hold anything.
    fields = stat_line.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _owner(place: Path) -> int | None:
    try:
        return place.stat().st_uid
    except OSError:
        return None


def _unsafe(place: Path) -> str:
    """Why the folder must not be used, "" when it may; also for one that is not there."""
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
