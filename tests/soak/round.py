"""One round: the service under load is ended at some moment, started again, and its books are read."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.mayhem import brokers
from harness.mayhem.backend import member
from harness.mayhem.errors import StorageUnavailableError
from harness.mayhem.ledger import BrokerAudit

from .invariant import complaints, read_books
from .plan import Plan, Terms
from .process import PATIENCE_S, Process, running
from .publisher import message_id

T = TypeVar("T")

SERVICE = "harness.mayhem"
PUBLISHER = "tests.soak.publisher"
# Between two looks at the queue.
LOOK_S = 0.1
# What its last line must not say: an error that nobody was there for.
UNHANDLED = re.compile(r"unhandled=[1-9]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a round. Nothing is wrong when there are no *complaints*."""

    number: int
    signal: str
    after_s: float
    publisher_killed: bool
    complaints: tuple[str, ...]
    published: int = 0  # and confirmed
    acked: int = 0
    dead_lettered: int = 0
    redelivered: int = 0
    duplicated: int = 0  # messages that were saved more than once
    lost: int = 0
    acked_unsaved: int = 0
    left: int = 0  # memory alone: what ended with the process, untouched
    drain_s: float | None = None  # how long the end under load took, if it was asked for


async def play(
    plan: Plan, terms: Terms, *, broker: str, store_url: str, folder: Path, prefix: str, forgetful: bool
) -> Outcome:
    """Play a round with a broker that outlives its service.

    Args:
        folder: For the logs.
        prefix: Of the messages' ids.
        forgetful: The broker is killed now and then, and may not know any more what it handed out.
    """
    log = folder / "service.log"
    confirmed: set[str] = set()
    wrong: list[str] = []
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(_publish(plan, terms, broker, prefix, confirmed, folder))
        async with running(SERVICE, serve(terms, broker, store_url), log=log) as service:
            await service.said("consuming", log)
            await _until(lambda: bool(confirmed))
            await asyncio.sleep(plan.after_s)
            drain_s, late = await end(service, plan.signum, terms)
            wrong += late
        again = folder / "service-again.log"
        async with running(SERVICE, serve(terms, broker, store_url), log=again) as service:
            await service.said("consuming", again)
            await publishing
            wrong += await _settled(broker)
            wrong += (await end(service, signal.SIGTERM, terms))[1]
    wrong += unhandled(log, again)
    books = await _answered(lambda: read_books(broker, store_url, prefix, lease_s=terms.lease_s))
    settled = books.audit.acks.keys() | books.laid_aside.keys()
    return Outcome(
        number=plan.number,
        signal=plan.signum.name,
        after_s=round(plan.after_s, 3),
        publisher_killed=plan.publisher_after is not None,
        published=len(confirmed),
        acked=books.audit.acked,
        dead_lettered=books.audit.dead_lettered,
        redelivered=books.audit.redelivered,
        duplicated=sum(times > 1 for times in books.saved.values()),
        lost=len(confirmed - settled),
        acked_unsaved=len(books.audit.acks.keys() - books.saved.keys()),
        drain_s=drain_s,
        complaints=(*wrong, *complaints(books, confirmed, twice_unseen=forgetful)),
    )


def serve(terms: Terms, broker: str, store_url: str) -> Sequence[str]:
    return (
        *("serve", "--broker", broker, "--store", store_url, "--seed", str(terms.seed)),
        *("--lease-s", str(terms.lease_s), "--drain-s", str(terms.drain_s)),
        *("--concurrency", str(terms.concurrency)),
        *("--hosts", str(terms.hosts), "--host-latency", terms.host_latency),
    )


async def _publish(
    plan: Plan, terms: Terms, broker: str, prefix: str, confirmed: set[str], folder: Path
) -> None:
    """Publish the round's messages; where a killed publisher was, the next one begins again."""
    log, first, kill_after = folder / "publisher.log", 0, plan.publisher_after
    if kill_after is not None:
        async with running(
            PUBLISHER, _publisher(terms, broker, prefix, first), log=log, hear=confirmed.add
        ) as publisher:
            await _until(lambda: len(confirmed) > kill_after)
            await publisher.end(signal.SIGKILL)
        # From the first that is not confirmed: the broker knows again what it has already.
        while message_id(prefix, first) in confirmed:
            first += 1
    async with running(
        PUBLISHER, _publisher(terms, broker, prefix, first), log=log, hear=confirmed.add
    ) as publisher:
        if status := await publisher.ended():
            raise RuntimeError(f"the publisher ended with status {status}: {log}")


def _publisher(terms: Terms, broker: str, prefix: str, first: int) -> Sequence[str]:
    numbers = (first, terms.messages, terms.rate_per_s, terms.hosts, terms.lease_s)
    return (broker, prefix, *map(str, numbers))


async def end(service: Process, signum: signal.Signals, terms: Terms) -> tuple[float | None, Sequence[str]]:
    """End the service: how long it took, if it was asked to, and what was wrong with its drain."""
    status, took_s = await service.end(signum)
    if signum is signal.SIGKILL:
        return None, () if status == -signal.SIGKILL else (f"ended by itself, with status {status}",)
    late = [f"SIGTERM took {took_s:.1f} s of {terms.drain_s:g} s"] if took_s > terms.drain_s else []
    cut = [f"SIGTERM ended with status {status}"] if status else []
    return round(took_s, 3), (*late, *cut)


def unhandled(*logs: Path) -> Sequence[str]:
    """Complain of errors that nobody was there for, by the services' last words."""
    return [f"an error was not handled: {log}" for log in logs if UNHANDLED.search(log.read_text())]


async def _settled(broker: str) -> Sequence[str]:
    """Wait until nothing waits in the queue."""
    audit: Callable[[str], Awaitable[BrokerAudit]] = member(brokers, broker, "audit").audit
    deadline = time.monotonic() + PATIENCE_S
    while waiting := (await _answered(lambda: audit(broker))).waiting:
        if time.monotonic() > deadline:
            return (f"{waiting} still waiting after {PATIENCE_S:g} s",)
        await asyncio.sleep(LOOK_S)
    return ()


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What a broker says that may be away just now."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except StorageUnavailableError:
                await asyncio.sleep(LOOK_S)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
