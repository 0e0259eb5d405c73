"""Keeps the probe's allocations out of the snapshots that a program takes with `tracemalloc`."""

from __future__ import annotations

import functools

from ..hook import Hook
from ..replacement import Replacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# The files of the probe in a target; see `entry/sitecustomize.py`.
_OURS = "<harness>/*"


def install(tracemalloc: ModuleType) -> None:
    """Leave out what the probe's own lines have allocated; what they have called others to allocate stays."""
    hook = Hook("snapshots of tracemalloc")
    own = tracemalloc.take_snapshot
    without_ours = hook.guarded(lambda taken: taken.filter_traces((tracemalloc.Filter(False, _OURS),)))

    @functools.wraps(own)
    def take_snapshot() -> Any:
        taken = own()
        kept = without_ours(taken)
        return taken if kept is None else kept

    if hook.is_on:
        Replacement(hook, tracemalloc, "take_snapshot", take_snapshot)
