"""The load driver, a process of its own: ``python -m harness.drive.load.driver``, with its order on stdin.

Its own, because a driver that shares the target's loop, thread or process is held up by the very block that
it should measure. It keeps an absolute schedule whatever the target does, and writes down when each request
was due, when it left and when it was answered. SIGINT or SIGTERM ends the schedule early. Exit status: 0, or
that of the error it names on stderr.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import resource
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

from ...errors import HarnessError
from ...record.event import LoadEnded, LoadStarted
from ...record.writer import Writer
from .arrival import arrivals
from .driver_config import DriverConfig
from .in_flight import DriverRequest, InFlightRequests
from .pacer import ExactSelector, wait_until

# After a signal somebody waits for this process; answers that are about to arrive still count.
STOPPED_DRAIN_S = 0.5


class Sender(Protocol):
    """Puts requests before the target: what ``connect`` of a module in `senders/` opens."""

    def send(self, request: DriverRequest) -> None:
        """Take the request, without waiting; tell the flight when it leaves, and when and how it ends."""


def main() -> int:
    """Carry out the order on stdin."""
    order = DriverConfig.from_json(sys.stdin.read())
    # Each connection is a descriptor, and the usual soft limit is 1024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    writer = Writer(Path(order.events), "driver")
    status = 0
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(ExactSelector())) as runner:
            runner.run(drive(order, writer))
    except* HarnessError as group:
        for exc in group.exceptions:
            sys.stderr.write(f"load driver: {exc}\n")
            status = getattr(exc, "exit_code", 1)
    finally:
        writer.close()
    return status


async def drive(order: DriverConfig, writer: Writer) -> None:
    """Send what the order says, and wait for the answers.

    Raises:
        HarnessError: The sender cannot work, alone or in an exception group.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    flight = InFlightRequests(writer)
    async with _connect(order, flight) as sender:
        writer.write(
            LoadStarted(order.start_at_ns, order.sender, order.arrival, order.rate_per_s, order.duration_s)
        )
        await _until(stop, _keep_schedule(order, flight, sender))
        ended_ns = time.monotonic_ns()
        await _until(stop, _drain(flight, order.drain_s))
        if stop.is_set():
            await _drain(flight, STOPPED_DRAIN_S)
    writer.write(LoadEnded(ended_ns, flight.offered))


def _connect(order: DriverConfig, flight: InFlightRequests) -> AbstractAsyncContextManager[Sender]:
    # Only now, so that a library is loaded when its sender is asked for.
    module = importlib.import_module(f"{__package__}.senders.{order.sender}")
    connection: AbstractAsyncContextManager[Sender] = module.connect(flight, **order.parameters)
    return connection


async def _keep_schedule(order: DriverConfig, flight: InFlightRequests, sender: Sender) -> None:
    times_s = arrivals(order.arrival, order.rate_per_s, seed=order.seed)
    within = itertools.takewhile(lambda time_s: time_s < order.duration_s, times_s)
    for time_s in within:
        due_ns = order.start_at_ns + round(time_s * 1e9)
        await wait_until(due_ns)
        full = flight.full()
        request = flight.begin(due_ns)
        if full:
            flight.end(request, time.monotonic_ns(), error="in-flight limit")
        else:
            sender.send(request)
    await wait_until(order.start_at_ns + round(order.duration_s * 1e9))


async def _drain(flight: InFlightRequests, patience_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await flight.wait_landed()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or as much of it as there is time for before *stop*."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work), group.create_task(stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main())
