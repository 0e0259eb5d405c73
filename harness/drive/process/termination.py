"""How a process that the runner started comes to its end: asked first, killed when that does not help."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from .guard import kill_group


async def end(
    process: asyncio.subprocess.Process, *, by: int = signal.SIGTERM, within_s: float = 5.0
) -> None:
    """Return when *process*, the leader of a group, has ended and nothing of its group is left.

    Cancelled meanwhile, it kills at once.
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
        # Also after a good end: its children would keep ports and files from the next run.
        kill_group(process.pid)
        await process.wait()
