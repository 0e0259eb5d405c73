"""A py-spy recording of the target from outside: every thread, idle ones too, as collapsed stacks.

``--idle`` is not a detail: by default py-spy leaves out threads that wait, and so the very call that blocks.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from ...record.event import ArtefactWritten, Event
from ...record.run import RunFolder

RATE_HZ = 100
# py-spy writes its file after the recording; a large one takes a while.
WRITE_WITHIN_S = 15.0


async def record(pid: int, seconds: float, folder: RunFolder, write: Callable[[Event], object]) -> None:
    """Record process *pid* and its children for *seconds*. What stands in the way is a note in the record."""
    py_spy = program()
    if py_spy is None:
        note = "py-spy is not installed: pip install 'asyncio-harness[profile]'"
        write(ArtefactWritten(monotonic_ns(), "py-spy", "", note))
        return
    path = folder.artefacts / "py-spy.raw"
    options = ["--idle", "--threads", "--subprocesses", "--nonblocking", "--format", "raw"]
    recording = await asyncio.create_subprocess_exec(
        py_spy,
        "record",
        *options,
        *("--rate", str(RATE_HZ), "--duration", str(max(1, round(seconds)))),
        *("--output", str(path), "--pid", str(pid)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds + WRITE_WITHIN_S):
            _, errors = await recording.communicate()
    except TimeoutError:
        errors = b"it did not end in time"
    finally:
        if recording.returncode is None:
            recording.kill()
            await recording.wait()
    if path.exists():
        note = f"{seconds:g} s at {RATE_HZ} Hz, collapsed stacks"
        write(ArtefactWritten(monotonic_ns(), "py-spy", str(path.relative_to(folder.path)), note))
    else:
        why = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        write(ArtefactWritten(monotonic_ns(), "py-spy", "", f"no recording: {why[-1]}"))


def program() -> str | None:
    """Where py-spy is, if it is installed."""
    # Beside this Python first: the harness may run from an environment that is not activated.
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")
