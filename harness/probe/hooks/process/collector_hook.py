"""Shows the program the collector's threshold that it has set, also while a thread of the probe works."""

from __future__ import annotations

import gc

from ....record.process import collection
from ..builtin_shim import BuiltinShim
from ..hook import Hook
from ..replacement import Replacement


def install() -> Hook:
    """Do so from now on, until the hook is undone."""
    hook, own = Hook("collector"), gc.get_threshold
    program_s = hook.guarded(collection.of_program)

    def get_threshold() -> tuple[int, int, int]:
        now = own()
        return program_s(now) or now

    if hook.is_on:
        Replacement(hook, gc, "get_threshold", BuiltinShim(get_threshold, own, "gc"))
    return hook
