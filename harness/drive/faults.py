"""Injects the scenario's faults into the target, each at its time, and undoes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from ..errors import TargetError
from ..record.event import Event, FaultFailed, FaultInjected, FaultUndone
from ..record.scenario import PlannedFault
from . import control


async def keep_in_force(
    planned: PlannedFault,
    *,
    start_ns: int,
    end_ns: int,
    seed: int,
    sockets: Path,
    write: Callable[[Event], object],
) -> None:
    """Inject the fault at its time after *start_ns*, and undo it at its end or when cancelled."""
    fault = planned.fault
    await _sleep_until(start_ns + round(planned.at_s * 1e9))
    try:
        if not await control.ask(sockets, {"do": "inject", "seed": seed, **fault.to_request()}):
            raise TargetError("no process of the target runs a loop under the probe")
    except TargetError as exc:
        write(FaultFailed(monotonic_ns(), fault.id, str(exc)))
        return
    write(FaultInjected(monotonic_ns(), fault.id, fault.kind, fault.describe()))
    try:
        until_ns = end_ns if planned.for_s is None else start_ns + round((planned.at_s + planned.for_s) * 1e9)
        await _sleep_until(min(until_ns, end_ns))
    finally:
        await _undo(fault.id, sockets, write)


async def _undo(fault_id: str, sockets: Path, write: Callable[[Event], object]) -> None:
    try:
        answers = await control.ask(sockets, {"do": "heal", "id": fault_id})
    except TargetError as exc:
        write(FaultFailed(monotonic_ns(), fault_id, f"not undone: {exc}"))
        return
    # Without an answer, every process has ended, and the fault with it.
    fired = sum(int(str(answer.get("fired", 0))) for answer in answers)
    write(FaultUndone(monotonic_ns(), fault_id, fired))


async def _sleep_until(at_ns: int) -> None:
    await asyncio.sleep(max(0, at_ns - monotonic_ns()) / 1e9)
