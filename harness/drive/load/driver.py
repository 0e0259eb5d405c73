"""The load driver, a separate process: ``python -m harness.drive.load.driver``, with its config on stdin.

A driver that shares the target's loop, thread or process is held up by the very block that it should measure.
This one keeps an absolute schedule whatever the target does, and records when each request was due, sent and
answered. SIGINT or SIGTERM ends the schedule early. Exit status: 0, or that of the error printed to stderr.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ...errors import HarnessError, MeasurementError
from ...record.event import LoadEnded, LoadStarted
from ...record.options import visit_data
from ...record.redact import learn
from ...record.writer import Writer
from .arrival import arrivals, mean_per_s
from .driver_config import DriverConfig
from .in_flight import DriverRequest, InFlightRequests
from .pacer import ExactSelector, wait_until
from .processor import Processor
from .visitors import Visitors, tags

# After a signal the runner waits for this process; answers that are about to arrive still count.
STOPPED_DRAIN_S = 0.5


class Sender(Protocol):
    """Sends messages to the target; ``connect`` of a module in `senders/` opens one."""

    def send(self, request: DriverRequest) -> None:
        """Start sending, without waiting, and report to the flight when it was sent and how it ended."""


class Messengers:
    """Sends one message at each arrival."""

    def __init__(self, flight: InFlightRequests, sender: Sender) -> None:
        self._flight = flight
        self._sender = sender

    def arrive(self, due_ns: int) -> None:
        """Send a message that is due then."""
        if (request := self._flight.begin(due_ns)) is not None:
            self._sender.send(request)

    def check(self) -> None:
        """Nothing: a sender tells its errors itself."""

    async def wait_over(self) -> None:
        """Return when no message is in flight."""
        await self._flight.wait_empty()


Users = Messengers | Visitors[Any]


def main() -> int:
    """Run the driver with the config on stdin."""
    config = DriverConfig.from_json(sys.stdin.readline())
    learn(config.secrets)
    # Each connection is a descriptor, and the usual soft limit is 1024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    writer = Writer(Path(config.events), "driver")
    status = 0
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(ExactSelector())) as runner:
            runner.run(drive(config, writer))
    except* HarnessError as group:
        for exc in group.exceptions:
            sys.stderr.write(f"load driver: {exc}\n")
            status = getattr(exc, "exit_code", 1)
    finally:
        writer.close()
    return status


async def drive(config: DriverConfig, writer: Writer) -> None:
    """Send the requests of the schedule, and wait for their answers.

    Raises:
        HarnessError: The sender cannot work; alone, or in an exception group.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    flight = InFlightRequests(writer)
    async with _arriving(config, flight) as users:
        if config.ready_fd >= 0:
            config = replace(config, start_at_ns=await _beginning(config.ready_fd, stop))
        writer.write(
            LoadStarted(
                config.start_at_ns,
                config.sender,
                config.arrival,
                mean_per_s(config.plan),
                config.duration_s,
                config.warm_up_s,
                tags(config.visits),
            )
        )
        before = Processor.now()
        if config.users and isinstance(users, Visitors):
            await _until(stop, _keep_users(config, flight, users))
        else:
            await _until(stop, _keep_schedule(config, flight, users))
        ended_ns, used = time.monotonic_ns(), Processor.now().since(before)
        await _until(stop, _drain(users, config.drain_s))
        if stop.is_set():
            await _drain(users, STOPPED_DRAIN_S)
        users.check()
    writer.write(
        LoadEnded(
            ended_ns,
            flight.offered,
            elapsed_ns=used.at_ns,
            cpu_ns=used.cpu_ns,
            queued_ns=used.queued_ns,
        )
    )


async def _beginning(ready_fd: int, stop: asyncio.Event) -> int:
    """Say that all is ready, and return when the schedule begins, as the runner then says.

    Raises:
        MeasurementError: The runner has ended, or has changed its mind.
    """
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    os.write(ready_fd, b"r")
    os.close(ready_fd)
    told = asyncio.ensure_future(lines.readline())
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({told, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not told.done() or not told.result():
        told.cancel()
        raise MeasurementError("the load was called off before it began")
    transport.close()
    return int(told.result())


@asynccontextmanager
async def _arriving(config: DriverConfig, flight: InFlightRequests) -> AsyncIterator[Users]:
    # Imported here, so that a client library is loaded only for its own sender.
    module = importlib.import_module(f"{__package__}.senders.{config.sender}")
    connection: AbstractAsyncContextManager[Any] = module.connect(flight, **config.parameters)
    async with connection as sender:
        if not config.visits:
            yield Messengers(flight, sender)
            return
        rows = visit_data.rows(Path(config.data)) if config.data else ()
        visitors = Visitors(flight, sender, config.visits, rows, seed=config.seed)
        try:
            yield visitors
        finally:
            await visitors.close()


async def _keep_schedule(config: DriverConfig, flight: InFlightRequests, users: Users) -> None:
    for time_s in arrivals(config.arrival, config.plan, seed=config.seed):
        due_ns = config.start_at_ns + round(time_s * 1e9)
        await wait_until(due_ns)
        _check(flight, users)
        users.arrive(due_ns)
    await wait_until(config.start_at_ns + round(config.duration_s * 1e9))


async def _keep_users(config: DriverConfig, flight: InFlightRequests, users: Visitors[Any]) -> None:
    """Let the users of a closed model make their visits; the last ones may still have no answer."""
    end_ns = config.start_at_ns + round(config.duration_s * 1e9)
    await wait_until(config.start_at_ns)
    for user in range(1, config.users + 1):
        users.come(user, end_ns)
    while time.monotonic_ns() < end_ns:
        _check(flight, users)
        await wait_until(min(end_ns, time.monotonic_ns() + 100_000_000))


def _check(flight: InFlightRequests, users: Users) -> None:
    users.check()
    if flight.unrecorded:
        raise MeasurementError(f"the record cannot be written: {flight.unrecorded}")


async def _drain(users: Users, patience_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await users.wait_over()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done or *stop* is set."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work), group.create_task(stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main())
