"""The threads that `threading` knows, read without the lock that a late thread may hold."""

from __future__ import annotations

import threading


def known_threads() -> list[tuple[int, threading.Thread]]:
    """The ident and the object of each thread in `threading.enumerate`."""
    return list(threading._active.items())  # type: ignore[attr-defined]


def forget_this_thread() -> None:
    """Remove this thread's entry, which `threading.current_thread` adds for a thread it does not know."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
