"""The end of a record: which files it has and how long they are, so that damage after the run is noticed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns

from ..record.event import RecordedFile, RunEnded
from ..record.run_folder import RunFolder
from ..record.writer import Writer

# Room for the last events and the reports of a run that fills its disk.
RESERVE_BYTES = 1 << 20
# The share of the free space that a reserve takes at most.
MOST_OF_FREE = 0.25


def files(folder: RunFolder, *, own: Path) -> tuple[RecordedFile, ...]:
    """The files of events and the pages of loops, without *own*, the file of the writer that asks."""
    found = []
    for path in (*sorted(folder.events.glob("*.jsonl")), *sorted(folder.loops.glob("*.page"))):
        with suppress(OSError):
            if path != own:
                found.append(RecordedFile(str(path.relative_to(folder.path)), path.stat().st_size))
    return tuple(found)


def is_full(folder: RunFolder) -> bool:
    """Whether no space is left on the disk of a run's folder."""
    with suppress(OSError):
        return os.statvfs(folder.path).f_bavail == 0
    return False


class DiskReserve:
    """Space that is kept free for the end of a run, as a file that `release` removes."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path / ".reserve"
        # Without it, a run that fills its disk only has a worse end.
        with suppress(OSError):
            disk = os.statvfs(folder.path)
            size = min(RESERVE_BYTES, int(disk.f_bavail * disk.f_frsize * MOST_OF_FREE))
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, max(size, 1))
            finally:
                os.close(fd)

    def release(self) -> None:
        """Give the space back."""
        with suppress(OSError):
            self._path.unlink()


def end(
    folder: RunFolder, writer: Writer, reserve: DiskReserve, *, error: str, interrupted: bool = False
) -> None:
    """Write the last events of *folder*, into the space that was kept for them, and close its *writer*."""
    reserve.release()
    files_now = files(folder, own=writer.path)
    writer.write(RunEnded(monotonic_ns(), interrupted, error, writer.error, files_now))
    writer.close()
