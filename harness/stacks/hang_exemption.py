"""What is no hang, however long a turn lasts: a person at a debugger's prompt, and a machine that is busy."""

from __future__ import annotations

from collections.abc import Sequence

from ..record.observation import Frame

# A turn that has waited for a processor for this share of its time does not hang. Beside some other programs,
# code that computes gets a half or a quarter of one, and hangs nevertheless.
STARVED_SHARE = 0.9
# Python's own debugger and what is built on it (IPython, pdb++); pydevd is that of PyCharm and VS Code.
_FILES = ("bdb.py", "pdb.py")
_PREFIX = "pydevd"
# What runs a loop. A debugger outside of it has started the program, and does not stop it now.
_RUNNERS = ("base_events.py", "events.py", "runners.py")


def at_debugger(stack: Sequence[Frame]) -> bool:
    """Whether the turn in *stack*, outermost frame first, has stopped in a debugger."""
    for frame in reversed(stack):
        folder, _, name = frame.file.rpartition("/")
        if name in _FILES or name.startswith(_PREFIX):
            return True
        if name in _RUNNERS and folder.rpartition("/")[2] == "asyncio":
            return False
    return False
