"""The chaos service with its broker full at the start, until every message is settled.

``python service.py memory|sqlite COUNT``; the database is a new file in the working directory. Prints the
messages per second, and the CPU time per message of the loop's thread and of the process, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from harness.mayhem.consumer import Consumer
from harness.mayhem.fleet import Fleet
from harness.mayhem.handler import Handler
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.message import Delivery, Message, RestartEvent
from harness.mayhem.telemetry import telemetry
from harness.mayhem.threads import Threads

# So many at a time that the processor is the limit, and not the 20 ms which a restart takes.
CONCURRENCY = HOSTS = 200
LEASE_S = 30.0
MAX_DELIVERIES = 5
THREADS = 16  # as the service has them


async def main(kind: str, count: int) -> None:
    async with _backends(kind) as (broker, store), Threads(THREADS) as threads:
        for number in range(1, count + 1):
            await broker.put(_message(number))
        handler = Handler(
            broker,
            store,
            Fleet(lambda name: SimulatedHost(name, seed=0), threads),
            lease_s=LEASE_S,
            max_deliveries=MAX_DELIVERIES,
            random=Random(0),
        )
        to_do = count

        async def handle(delivery: Delivery) -> None:
            nonlocal to_do
            await handler.handle(delivery)
            to_do -= 1
            if not to_do:
                broker.drain()

        wall_ns, loop_ns, process_ns = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
        await Consumer(broker, handle, concurrency=CONCURRENCY).run()
        wall_ns = time.perf_counter_ns() - wall_ns
        loop_ns, process_ns = time.thread_time_ns() - loop_ns, time.process_time_ns() - process_ns
        if left := await broker.pending():
            sys.exit(f"{left} messages were not settled")
    sample = {
        "messages_per_s": count / wall_ns * 1e9,
        "loop_cpu_us": loop_ns / 1e3 / count,
        "process_cpu_us": process_ns / 1e3 / count,
    }
    print(json.dumps(sample))


@asynccontextmanager
async def _backends(kind: str) -> AsyncIterator[tuple[Any, Any]]:
    if kind == "memory":
        from harness.mayhem.brokers.memory import MemoryBroker
        from harness.mayhem.stores.memory import MemoryStore

        yield MemoryBroker(lease_s=LEASE_S), MemoryStore()
        return

    from harness.mayhem.brokers.sqlite import SqliteBroker
    from harness.mayhem.database import Database
    from harness.mayhem.stores.sqlite import SqliteStore

    async with Database(Path(f"service-{os.getpid()}.db")) as database:
        broker, store = SqliteBroker(database, lease_s=LEASE_S), SqliteStore(database)
        await broker.create()
        await store.create()
        yield broker, store


def _message(number: int) -> Message:
    headers = {"traceparent": f"00-{number:032x}-{number:016x}-01"}
    return Message(f"m-{number}", RestartEvent(f"host-{number % HOSTS}").to_body(), time.time(), headers)


if __name__ == "__main__":
    with telemetry(os.environ):
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
