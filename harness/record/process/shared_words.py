"""Words of 64 bits in a file, mapped so that other processes see each change of them."""

from __future__ import annotations

import mmap
import sys

# From Python 3.13 on a mapping keeps no descriptor: a watched program has as many as without the probe.
_UNTRACKED = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def map_words(fd: int, count: int, *, write: bool = True) -> memoryview:
    """The first *count* words of an open file, as a view that keeps the mapping alive; *fd* may be closed.

    Raises:
        OSError: The file cannot be mapped.
        ValueError: The file is shorter.
    """
    access = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
    return memoryview(mmap.mmap(fd, count * 8, prot=access, **_UNTRACKED)).cast("q")
