"""How often the function of a fault was called and hit, in shared memory: one small file per process.

The counts outlive the process, also when it is killed, so the runner can add up all processes of the target.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..clock import monotonic_ns
from ..process.shared_words import map_words

CALLS, FIRED, WORDS = 0, 1, 2


class Tally(NamedTuple):
    """The counts of all processes in which a fault was planted."""

    processes: int
    calls: int  # of the function while the fault was in force
    fired: int  # those that the fault hit


def create(control: Path | None, fault_id: str) -> memoryview:
    """The counts of this process, as two words of 64 bits; in memory alone without a *control* folder.

    Raises:
        OSError: The file cannot be created.
    """
    if control is None:
        return memoryview(bytearray(WORDS * 8)).cast("q")
    folder = _folder(control, fault_id)
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / f"{os.getpid()}-{monotonic_ns():x}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(fd, 0, WORDS * 8)  # as `page.create`
        return map_words(fd, WORDS)
    finally:
        os.close(fd)


def read(control: Path, fault_id: str) -> Tally:
    """The counts so far, of living and ended processes."""
    processes = calls = fired = 0
    for path in _folder(control, fault_id).glob("*"):
        with suppress(OSError, struct.error):
            words = struct.unpack(f"={WORDS}q", path.read_bytes())
            processes, calls, fired = processes + 1, calls + words[CALLS], fired + words[FIRED]
    return Tally(processes, calls, fired)


def refuse(control: Path, fault_id: str, why: str) -> None:
    """Note that this process could not take over a fault that is in force."""
    folder = control / "refusals" / fault_id
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(os.getpid())).write_text(why)


def refusals(control: Path, fault_id: str) -> list[str]:
    """Why processes could not take over the fault, each reason once."""
    reasons = []
    for path in sorted((control / "refusals" / fault_id).glob("*")):
        with suppress(OSError):
            reasons.append(path.read_text())
    return list(dict.fromkeys(reasons))


def _folder(control: Path, fault_id: str) -> Path:
    return control / "tallies" / fault_id
