"""One round: the service is ended under load and started again, and its ledger is checked."""

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

from .invariant import read_state, violations
from .plan import Plan, Terms
from .process import PATIENCE_S, Process, running
from .publisher import message_id

T = TypeVar("T")

SERVICE = "harness.mayhem"
PUBLISHER = "tests.soak.publisher"
# Interval of checking the queue.
POLL_S = 0.1
# In the service's summary of failures: there was an unhandled exception.
UNHANDLED = re.compile(r"unhandled=[1-9]")


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """The outcome of a round, which passed if there are no *violations*."""

    number: int
    signal: str
    after_s: float
    publisher_killed: bool
    violations: tuple[str, ...]
    published: int = 0  # and confirmed
    acked: int = 0
    dead_lettered: int = 0
    redelivered: int = 0
    duplicated: int = 0  # messages that were saved more than once
    lost: int = 0
    acked_unsaved: int = 0
    left: int = 0  # memory only: messages that ended with the process
    drain_s: float | None = None  # time the shutdown under load took, after SIGTERM


async def play(
    plan: Plan, terms: Terms, *, broker: str, store_url: str, folder: Path, prefix: str, forgetful: bool
) -> RoundOutcome:
    """Play a round with a broker that outlives its service.

    Args:
        folder: Folder for the logs.
        prefix: Prefix of the messages' ids.
        forgetful: The broker is killed from time to time and may forget its deliveries.
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
    state = await _answered(lambda: read_state(broker, store_url, prefix, lease_s=terms.lease_s))
    settled = state.audit.acks.keys() | state.dead_lettered.keys()
    return RoundOutcome(
        number=plan.number,
        signal=plan.signum.name,
        after_s=round(plan.after_s, 3),
        publisher_killed=plan.publisher_after is not None,
        published=len(confirmed),
        acked=state.audit.acked,
        dead_lettered=state.audit.dead_lettered,
        redelivered=state.audit.redelivered,
        duplicated=sum(times > 1 for times in state.saved.values()),
        lost=len(confirmed - settled),
        acked_unsaved=len(state.audit.acks.keys() - state.saved.keys()),
        drain_s=drain_s,
        violations=(*wrong, *violations(state, confirmed, forgetful=forgetful)),
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
    """Publish the round's messages; a second publisher continues where a killed one stopped."""
    log, first, kill_after = folder / "publisher.log", 0, plan.publisher_after
    if kill_after is not None:
        async with running(
            PUBLISHER, _publisher(terms, broker, prefix, first), log=log, hear=confirmed.add
        ) as publisher:
            await _until(lambda: len(confirmed) > kill_after)
            await publisher.end(signal.SIGKILL)
        # From the first unconfirmed message on: the broker ignores duplicates.
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
    """End the service; return the seconds it took after SIGTERM, and violations of the drain."""
    status, took_s = await service.end(signum)
    if signum is signal.SIGKILL:
        return None, () if status == -signal.SIGKILL else (f"ended by itself, with status {status}",)
    late = [f"SIGTERM took {took_s:.1f} s of {terms.drain_s:g} s"] if took_s > terms.drain_s else []
    cut = [f"SIGTERM ended with status {status}"] if status else []
    return round(took_s, 3), (*late, *cut)


def unhandled(*logs: Path) -> Sequence[str]:
    """Violations for unhandled exceptions, which the services' last log lines count."""
    return [f"unhandled exception: {log}" for log in logs if UNHANDLED.search(log.read_text())]


async def _settled(broker: str) -> Sequence[str]:
    """Wait until the queue is empty."""
    audit: Callable[[str], Awaitable[BrokerAudit]] = member(brokers, broker, "audit").audit
    deadline = time.monotonic() + PATIENCE_S
    while waiting := (await _answered(lambda: audit(broker))).waiting:
        if time.monotonic() > deadline:
            return (f"{waiting} still waiting after {PATIENCE_S:g} s",)
        await asyncio.sleep(POLL_S)
    return ()


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Repeat the call while the broker is unavailable."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except StorageUnavailableError:
                await asyncio.sleep(POLL_S)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
