"""Injects the scenario's faults into the target, each at its time, and undoes them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, monotonic_ns

from ..errors import MeasurementError, TargetError
from ..record.event import Event, FaultFailed, FaultInjected, FaultUndone
from ..record.fault import tally
from ..record.fault.board import FaultBoard
from ..record.fault.fault import Fault
from ..record.scenario import PlannedFault
from . import control

# A server may listen before its workers run a loop.
LOOP_WITHIN_S = 10.0
# A worker may still be importing the program when another one answers, ...
FOUND_WITHIN_S = 1.0
# ... and a program may import a module after it has begun to listen.
LOADED_WITHIN_S = 4.0
_ASK_EVERY_S = 0.1
# The class of an exception whose text says it all.
_REFUSAL = re.compile(r"^(LookupError|TypeError|ValueError|ModuleNotLoadedError): ")


async def find_all(
    planned: Sequence[PlannedFault], *, seed: int, sockets: Path, write: Callable[[Event], object]
) -> None:
    """Make sure, before the load begins, that every fault can be injected.

    A fault in a module that no process has imported, but could import, passes: it waits for the import.

    Raises:
        MeasurementError: A fault cannot be injected; the record has a `FaultFailed` for each that cannot.
    """
    problems = await asyncio.gather(
        *(_why_not(each.fault, seed + number, sockets) for number, each in enumerate(planned))
    )
    failed = [(each.id, why) for each, why in zip(planned, problems, strict=True) if why]
    for fault_id, why in failed:
        write(FaultFailed(monotonic_ns(), fault_id, why))
    if failed:
        fault_id, why = failed[0]
        raise MeasurementError(f"fault {fault_id} cannot be injected, so no load was sent: {why}")


async def _why_not(fault: Fault, seed: int, sockets: Path) -> str:
    """Why the fault cannot be injected; "" if it can."""
    request = {"do": "find", "seed": seed, **fault.to_request()}
    began_s, answered_s = monotonic(), None
    while True:
        answers = await control.ask_each(sockets, request)
        if any(answer.get("found") for answer in answers.given):
            return ""
        now_s = monotonic()
        if answered_s is None and (answers.given or answers.refusals):
            answered_s = now_s
        if answered_s is None:
            if now_s - began_s > LOOP_WITHIN_S:
                return "no process of the target runs a loop under the probe"
        elif answers.refusals and now_s - answered_s > FOUND_WITHIN_S:
            return "; ".join(dict.fromkeys(_REFUSAL.sub("", each) for each in answers.refusals))
        elif now_s - answered_s > LOADED_WITHIN_S:
            importable = any(answer.get("importable") for answer in answers.given)
            return "" if importable or not answers.given else str(answers.given[0].get("why"))
        await asyncio.sleep(_ASK_EVERY_S)


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
    began_ns, until_ns = planned.window_ns(start_ns, end_ns)
    await sleep_until(began_ns)
    request = {"seed": seed, **fault.to_request()}
    board = FaultBoard(sockets)
    injected = False
    try:
        board.post(request)
        await control.ask(sockets, {"do": "inject", "wait": True, **request})
        write(
            FaultInjected(
                monotonic_ns(), fault.id, fault.kind, fault.describe(), fault.place, fault.probability
            )
        )
        injected = True
        await sleep_until(until_ns)
    except (TargetError, OSError) as exc:
        write(FaultFailed(monotonic_ns(), fault.id, _REFUSAL.sub("", str(exc))))
    finally:
        board.remove(fault.id)
        await _undo(fault.id, sockets, write if injected else lambda _: None)


async def _undo(fault_id: str, sockets: Path, write: Callable[[Event], object]) -> None:
    try:
        # Without an answer, every process has ended, and the fault with it.
        await control.ask(sockets, {"do": "heal", "id": fault_id})
    except TargetError as exc:
        write(FaultFailed(monotonic_ns(), fault_id, f"not undone: {exc}"))
        return
    counts = tally.read(sockets, fault_id)
    if not counts.processes and (refusals := tally.refusals(sockets, fault_id)):
        write(FaultFailed(monotonic_ns(), fault_id, "; ".join(refusals)))
    write(FaultUndone(monotonic_ns(), fault_id, counts.fired, counts.calls, counts.processes))


async def sleep_until(at_ns: int) -> None:
    """Return at that monotonic time, or at once if it is over."""
    await asyncio.sleep(max(0, at_ns - monotonic_ns()) / 1e9)
