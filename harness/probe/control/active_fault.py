"""The injected fault that acts in a thread at this moment; the watchdog reads it."""

from __future__ import annotations

_faults: dict[int, str] = {}


def fault_in(thread_ident: int) -> str:
    """The id of the fault that acts in a thread, or "" if none does."""
    return _faults.get(thread_ident, "")


def begin(thread_ident: int, fault_id: str) -> None:
    """A fault takes effect in that thread from now on."""
    _faults[thread_ident] = fault_id


def end(thread_ident: int) -> None:
    """Its effect is over."""
    del _faults[thread_ident]
