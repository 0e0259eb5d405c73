"""The machine's monotonic clock, which all processes of a run share.

Libraries that freeze time in tests, such as freezegun, replace `time.monotonic` in every module that holds
it. They do not find these partials, which cost next to nothing.
"""

from __future__ import annotations

import time
from functools import partial

# Seconds, and nanoseconds.
monotonic = partial(time.monotonic)
monotonic_ns = partial(time.monotonic_ns)
