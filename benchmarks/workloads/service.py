"""The chaos service with its broker full at the start, until every message is settled.

``python service.py URL COUNT [bare | loop | traced]``, for example with ``memory:``, ``sqlite:`` (a new file
in the working directory), ``nats://127.0.0.1:4222`` or ``redis://127.0.0.1:6379/0``. The store is the file of
the broker, or memory. *bare* leaves the service out: the same calls of the same broker and store, and as many
at a time, but nothing around them. *loop* makes these calls as the shortest of programs does, one message
after the other. *traced* records every span, and exports none.

Prints the messages per second, and the CPU time per message of the loop's thread and of the process, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from harness.mayhem import backend
from harness.mayhem.__main__ import GARBAGE
from harness.mayhem.backend import PublishingBroker
from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.message import Delivery, Message, RestartEvent
from harness.mayhem.messages.circuit import Circuits
from harness.mayhem.messages.consumer import Consumer
from harness.mayhem.messages.handler import Handler
from harness.mayhem.messages.lease import Leases
from harness.mayhem.operations.failure_ledger import FailureLedger
from harness.mayhem.operations.telemetry import telemetry
from harness.mayhem.ports import Store
from harness.mayhem.process.thread_pool import ThreadPool

# So many at a time that the processor is the limit, and not the 20 ms which a restart takes.
CONCURRENCY = HOSTS = 500
LEASE_S = 30.0
MAX_DELIVERIES = 5
THREADS = 16  # as the service has them

Handle = Callable[[Delivery], Awaitable[None]]


async def main(url: str, count: int, *, how: str) -> None:
    # What is left of another run is not a part of this one.
    if url == "sqlite:":
        url = f"sqlite:service-{os.getpid()}.db"
    elif "://" in url:
        url = f"{url}?queue=service-{os.getpid()}"
    store_url = url if url.startswith(("memory:", "sqlite:")) else "memory:"
    async with (
        backend.store(store_url) as store,
        backend.broker(url, lease_s=LEASE_S) as broker,
        ThreadPool(THREADS) as threads,
        Leases(broker, failures := FailureLedger(), lease_s=LEASE_S) as leases,
    ):
        await _fill(broker, count)
        circuits = Circuits()
        handler = Handler(
            broker,
            store,
            Fleet(lambda name: SimulatedHost(name, seed=0), threads),
            leases=leases,
            circuits=circuits,
            failures=failures,
            max_deliveries=MAX_DELIVERIES,
            random=Random(0),
        )
        to_do = count

        def counted(handle: Handle) -> Handle:
            async def handle_one(delivery: Delivery) -> None:
                nonlocal to_do
                await handle(delivery)
                to_do -= 1
                if not to_do:
                    broker.drain()

            return handle_one

        consumer = Consumer(
            broker,
            counted(handler.handle),
            hand_back=handler.hand_back,
            gate=circuits.gate.admitted,
            failures=failures,
            concurrency=CONCURRENCY,
        )
        match how:
            case "bare":
                working = _bare(broker, counted(_saving(broker, store)))
            case "loop":
                working = _loop(broker, counted(_saving(broker, store)))
            case _:
                working = consumer.run()
        wall_ns, loop_ns, process_ns = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
        await working
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


async def _bare(broker: PublishingBroker, handle: Handle) -> None:
    """As many at a time as the service has in hand."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(delivery: Delivery) -> None:
        await handle(delivery)
        slots.release()

    async with asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            free = 1
            while not slots.locked():
                await slots.acquire()
                free += 1
            deliveries = await broker.get(free)
            for delivery in deliveries:
                group.create_task(one(delivery))
            for _ in range(free - len(deliveries)):
                slots.release()
            if not deliveries:
                return


async def _loop(broker: PublishingBroker, handle: Handle) -> None:
    while deliveries := await broker.get(CONCURRENCY):
        for delivery in deliveries:
            await handle(delivery)


def _saving(broker: PublishingBroker, store: Store) -> Handle:
    async def save(delivery: Delivery) -> None:
        event = RestartEvent.from_body(delivery.message.body)
        await store.save(delivery.message.id, event.host)
        await broker.ack(delivery)

    return save


async def _fill(broker: PublishingBroker, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(1, count + 1):
            group.create_task(broker.put(_message(number)))


def _message(number: int) -> Message:
    headers = {"traceparent": f"00-{number:032x}-{number:016x}-01"}
    return Message(f"m-{number}", RestartEvent(f"host-{number % HOSTS}").to_body(), time.time(), headers)


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(GARBAGE)
    how = sys.argv[3] if len(sys.argv) > 3 else ""
    if how == "traced":
        provider = TracerProvider()
        provider.add_span_processor(SpanProcessor())  # which does nothing
        trace.set_tracer_provider(provider)
    with telemetry(os.environ):
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), how=how))
