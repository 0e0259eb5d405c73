"""The injected faults that act at this moment, by thread; the watchdog reads them."""

from __future__ import annotations

_faults: dict[int, str] = {}


def fault_in(thread_ident: int) -> str:
    """The id of the fault that acts in a thread, or "" if none does."""
    return _faults.get(thread_ident, "")


def begin(thread_ident: int, fault_id: str) -> None:
    """Note that a fault takes effect in a thread from now on."""
    _faults[thread_ident] = fault_id


def end(thread_ident: int) -> None:
    """Note that the effect of a thread's fault is over."""
    _faults.pop(thread_ident, None)
