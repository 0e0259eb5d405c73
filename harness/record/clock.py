"""The machine's monotonic clock, which all processes of a run share.

Libraries that freeze time in tests, such as freezegun, search the variables of every module for
`time.monotonic` and replace it. These are other objects, which they do not find, at next to no cost.
"""

from __future__ import annotations

import time
from functools import partial

# Seconds, and nanoseconds.
monotonic = partial(time.monotonic)
monotonic_ns = partial(time.monotonic_ns)
