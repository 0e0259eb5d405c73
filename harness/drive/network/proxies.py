"""The runner's side of the proxies: starts their process, and puts faults in force there."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any

from ...errors import MeasurementError, TargetError
from ...record.event import Event, FaultFailed, FaultInjected, FaultUndone
from ...record.options.network import PlannedToxic, ProxyOptions
from ..faults import sleep_until
from ..process.termination import end

ANSWERED_WITHIN_S = 10.0


class Proxies:
    """The process of the proxies, while it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            MeasurementError: The process has ended, or does not answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                await self._process.stdin.drain()
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    line = await self._process.stdout.readline()
            except (OSError, TimeoutError) as exc:
                raise MeasurementError(f"the proxies do not answer: {exc or type(exc).__name__}") from exc
        if not line:
            raise MeasurementError("the process of the proxies has ended; see artefacts/proxies.log")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def running(
    proxies: Sequence[ProxyOptions], log: Path, on_started: Callable[[int], object]
) -> AsyncIterator[Proxies | None]:
    """The proxies, while the block runs; `None` if there are none. *on_started* is given their process.

    Raises:
        TargetError: One of them cannot listen.
    """
    if not proxies:
        yield None
        return
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "harness.drive.network.proxy"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            process_group=0,
        )
    on_started(process.pid)
    try:
        made = Proxies(process)
        answer = await made.ask({"proxies": [each.model_dump() for each in proxies]})
        if "error" in answer:
            raise TargetError(answer["error"])
        yield made
    finally:
        await end(process)


async def keep_in_force(
    planned: PlannedToxic,
    proxies: Proxies,
    *,
    start_ns: int,
    end_ns: int,
    seed: int,
    write: Callable[[Event], object],
) -> None:
    """Inject the fault at its time after *start_ns*, and undo it at its end or when cancelled."""
    began_ns, until_ns = planned.window_ns(start_ns, end_ns)
    await sleep_until(began_ns)
    order: dict[str, object] = {"proxy": planned.proxy, "id": planned.id}
    place = f"the connections of proxy {planned.proxy}"
    injected = False
    try:
        await proxies.ask({"do": "add", "seed": seed, **planned.model_dump(), **order})
        detail = f"{planned.describe()}, {planned.proxy} ({planned.stream})"
        write(FaultInjected(monotonic_ns(), planned.id, planned.kind, detail, place, 1.0))
        injected = True
        await sleep_until(until_ns)
    except MeasurementError as exc:
        write(FaultFailed(monotonic_ns(), planned.id, str(exc)))
    finally:
        if injected:
            await _undo(proxies, order, write)


async def _undo(proxies: Proxies, order: dict[str, object], write: Callable[[Event], object]) -> None:
    fault_id = str(order["id"])
    try:
        counts = await proxies.ask({"do": "remove", **order})
    except MeasurementError as exc:
        write(FaultFailed(monotonic_ns(), fault_id, f"not undone: {exc}"))
    else:
        write(FaultUndone(monotonic_ns(), fault_id, counts["fired"], counts["calls"], 1))
