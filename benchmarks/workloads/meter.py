"""What every workload shares: run it in a loop of its own, and print what one item of it cost as JSON.

``python WORKLOAD.py COUNT [WATCHER]`` does COUNT items under the watcher of that name. Only the standard
library and the watcher are imported, so any Python can run it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import watchers

# Of the count, done before the clock starts: the interpreter specialises its bytecode, queues grow.
WARM_UP = 0.1


def run(work: Callable[[int], Awaitable[object]]) -> None:
    """Do *work*; print the CPU time per item, in microseconds, of the loop's thread and of the process."""
    count, *names = sys.argv[1:]
    asyncio.run(_measured(work, int(count), names))


async def _measured(work: Callable[[int], Awaitable[object]], count: int, names: list[str]) -> None:
    # What a watcher gives back is kept: a task without a reference may be collected.
    _held = [watchers.WATCHERS[name]() for name in names]
    await work(int(count * WARM_UP))
    loop_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
    await work(count)
    loop_ns, process_ns = time.thread_time_ns() - loop_ns, time.process_time_ns() - process_ns
    print(json.dumps({"loop_cpu_us": loop_ns / 1e3 / count, "process_cpu_us": process_ns / 1e3 / count}))
