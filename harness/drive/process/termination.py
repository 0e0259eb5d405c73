"""Ends processes that the runner started: by a signal first, by killing them if that does not help."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from .guard import kill_group


def describe_status(status: int) -> str:
    """How a process ended, from its `returncode`: ``with status 1``, ``by SIGKILL``."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no name
        return f"by signal {-status}"


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
