"""Whether another user may use a file, by the permissions of it and of the folders above it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def first_barred(needed: Iterable[tuple[Path, int]], uid: int, groups: frozenset[int]) -> str:
    """The first path that user *uid* may not use; "" if there is none.

    Access control lists are not considered, nor is what is missing.

    Args:
        needed: Paths, each with what is needed there: 4 to read, 1 to enter.
        uid: The user, not root.
        groups: All the groups of the user.
    """
    for path, bits in needed:
        for folder in reversed(path.parents):
            if _bars(folder, 1, uid, groups):
                return str(folder)
        if _bars(path, bits, uid, groups):
            return str(path)
    return ""


def _bars(path: Path, bits: int, uid: int, groups: frozenset[int]) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
    return (found.st_mode >> shift) & bits != bits
