"""Reads the ledger that a target keeps of its messages, and then removes the queue that the run used."""

from __future__ import annotations

import asyncio
import json
import os
from time import monotonic_ns

from ..errors import MeasurementError
from ..record.event import LedgerTaken, QueueLeft
from .process.termination import end
from .targets.spec import TargetSpec

ANSWER_WITHIN_S = 30.0


async def audit(plan: TargetSpec, *, drain_s: float | None) -> LedgerTaken | None:
    """The ledger of a target that has ended, or None when it keeps none.

    Raises:
        MeasurementError: The ledger cannot be read.
    """
    if not plan.ledger_command:
        return None
    try:
        output = await _output_of(plan.ledger_command, plan)
    except MeasurementError as exc:
        raise MeasurementError(f"the target's ledger cannot be read: {exc}") from None
    return LedgerTaken(at_ns=monotonic_ns(), drain_s=drain_s, **json.loads(output))


async def remove(plan: TargetSpec, ledger: LedgerTaken | None) -> QueueLeft | None:
    """Remove the run's own queue from its server, unless it still holds messages worth inspecting."""
    if not plan.remove_command or ledger is None:
        return None
    kept = {"waiting": ledger.waiting, "dead-lettered": ledger.dead_lettered, "lost": ledger.lost}
    if any(kept.values()):
        counts = ", ".join(f"{count} {what}" for what, count in kept.items() if count)
        return QueueLeft(monotonic_ns(), f"of its messages {counts}")
    try:
        await _output_of(plan.remove_command, plan)
    except MeasurementError as exc:
        return QueueLeft(monotonic_ns(), f"it cannot be removed: {exc}")
    return None


async def _output_of(command: tuple[str, ...], plan: TargetSpec) -> bytes:
    """Run *command* and return its stdout; raise `MeasurementError` if it fails or does not end in time."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **plan.env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        process_group=0,
    )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            output, errors = await process.communicate()
    except TimeoutError:
        raise MeasurementError("no answer in time") from None
    finally:
        await end(process)
    if process.returncode:
        raise MeasurementError(errors.decode(errors="replace").strip())
    return output
