"""The loop and the task of a call, for the kinds of faults that act on them.

asyncio is not imported: a target that makes a call on a loop has it.
"""

from __future__ import annotations

import sys
from typing import Any


def is_in_loop() -> bool:
    """Whether the call is made on the thread of a running loop."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def running_loop() -> Any:
    """The loop whose thread makes the call."""
    return sys.modules["asyncio"].get_running_loop()


def running_task() -> Any:
    """The task that makes the call; `None` if no task does."""
    return sys.modules["asyncio"].current_task() if is_in_loop() else None
