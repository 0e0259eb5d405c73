"""Ends processes that the runner started: by a signal first, by killing them if that does not help."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from .guard import kill_group


async def end(
    process: asyncio.subprocess.Process, *, by: int = signal.SIGTERM, within_s: float = 5.0
) -> None:
    """End *process*, the leader of a group; return when it has ended and nothing of its group is left.

    When cancelled, kill it at once.
    """
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(by)
            async with asyncio.timeout(within_s):
                await process.wait()
    except TimeoutError:
        pass
    finally:
        # Even after a clean exit: its children would keep ports and files from the next run.
        kill_group(process.pid)
        await process.wait()
