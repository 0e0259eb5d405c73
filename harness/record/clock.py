"""The machine's monotonic clock, as every process of a run reads it.

Not `time.monotonic` itself: a library that freezes the time for a test, as freezegun does, looks for that
function in the variables of every module, and would put its own there. These are other objects, and cost next
to nothing.
"""

from __future__ import annotations

import time
from functools import partial

# Seconds, and nanoseconds.
monotonic = partial(time.monotonic)
monotonic_ns = partial(time.monotonic_ns)
