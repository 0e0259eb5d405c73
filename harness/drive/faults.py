"""Faults that the probe carries out inside the target: its calls that block or fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from ..errors import TargetError
from ..record.event import Event, FaultFailed, FaultInjected, FaultUndone
from ..record.scenario import BlockCpu, BlockSleep, CallFail
from . import control

Fault = BlockSleep | BlockCpu | CallFail


async def keep_in_force(
    fault: Fault, *, start_ns: int, end_ns: int, seed: int, sockets: Path, write: Callable[[Event], object]
) -> None:
    """Put *fault* in force at its time after *start_ns*, and undo it at its end, or when cancelled."""
    await _sleep_until(start_ns + round(fault.at_s * 1e9))
    request = {"do": "inject", "seed": seed, **fault.model_dump(mode="json", by_alias=True)}
    try:
        if not await control.ask(sockets, request):
            raise TargetError("no process of the target runs a loop under the probe")
    except TargetError as exc:
        write(FaultFailed(monotonic_ns(), fault.id, str(exc)))
        return
    write(FaultInjected(monotonic_ns(), fault.id, fault.kind, _in_words(fault)))
    try:
        until_ns = end_ns if fault.for_s is None else start_ns + round((fault.at_s + fault.for_s) * 1e9)
        await _sleep_until(min(until_ns, end_ns))
    finally:
        await _undo(fault, sockets, write)


async def _undo(fault: Fault, sockets: Path, write: Callable[[Event], object]) -> None:
    try:
        answers = await control.ask(sockets, {"do": "heal", "id": fault.id})
    except TargetError as exc:
        write(FaultFailed(monotonic_ns(), fault.id, f"not undone: {exc}"))
        return
    # Without an answer every process has ended, and the fault with it.
    fired = sum(int(str(answer.get("fired", 0))) for answer in answers)
    write(FaultUndone(monotonic_ns(), fault.id, fired))


async def _sleep_until(at_ns: int) -> None:
    await asyncio.sleep(max(0, at_ns - monotonic_ns()) / 1e9)


def _in_words(fault: Fault) -> str:
    match fault:
        case BlockSleep():
            what = f"time.sleep({fault.block_ms / 1e3:g})"
        case BlockCpu():
            what = f"{fault.block_ms:g} ms of computing"
        case CallFail():
            what = f"raises {fault.raises.removeprefix('builtins:')}"
    often = "" if fault.probability == 1 else f", {fault.probability:.0%} of the calls"
    often += "" if fault.limit is None else f", at most {fault.limit} times"
    return f"{what} in {fault.place}{often}"
