"""The machine's monotonic clock, which all processes of a run share.

Libraries that freeze time in tests, such as freezegun, replace `time.monotonic` in every module that holds
it. They do not find these bound calls, which cost next to nothing.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds, and nanoseconds.
monotonic: Callable[[], float] = time.monotonic.__call__  # type: ignore[operator]  # typed as a plain function
monotonic_ns: Callable[[], int] = time.monotonic_ns.__call__  # type: ignore[operator]
