"""Runs one of the programs of a file: ``python -m MODULE NAME``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

# So long that every rule would have told what lasts.
LASTS_S = 6.0


def play(programs: Mapping[str, Any]) -> None:
    """Run the program that the command line names, to its end."""
    work = programs[sys.argv[1]]()
    if isinstance(work, Coroutine):
        asyncio.run(work)


async def ticks(every_s: float = 0.1, lasts_s: float = LASTS_S) -> AsyncIterator[int]:
    """Count, once in *every_s*, while the program lasts."""
    ends_s, number = time.monotonic() + lasts_s, 0
    while time.monotonic() < ends_s:
        yield number
        number += 1
        await asyncio.sleep(every_s)


def start(group: set[asyncio.Task[Any]], work: Coroutine[Any, Any, Any]) -> None:
    """Start a task that is referred to until it is done."""
    task = asyncio.create_task(work)
    group.add(task)
    task.add_done_callback(group.discard)


async def stop(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel what still runs, and wait for its end."""
    for task in (pending := list(tasks)):
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
