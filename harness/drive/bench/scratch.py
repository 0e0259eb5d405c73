"""Folders of a comparison that do not stay, among the temporary files.

Whoever makes one holds a lock on it, which the kernel releases whatever ends them. So a folder that nobody
has locked belongs to no living process, and the next comparison removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What runs of programs write, and the files of revisions.
RUNS, REVISIONS = "harness-bench-", "harness-revisions-"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder for the duration of the ``with`` block; those that dead comparisons left are removed."""
    clear_left_behind()
    path, lock = _made(prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def clear_left_behind() -> None:
    """Remove what no living process holds."""
    for prefix in (RUNS, REVISIONS):
        for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            # Others may be removing it at this moment, or it is another user's.
            with suppress(OSError):
                _remove_unless_held(path)


def _remove_unless_held(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)


def _made(prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        # Before it was locked, another comparison may have taken it for one that was left.
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists():
                return path, fd
            os.close(fd)
