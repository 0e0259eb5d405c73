"""What users do: visits of one or several steps, each a request, chosen by weight."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from ...errors import MeasurementError
from .in_flight import DriverRequest, InFlightRequests
from .pacer import wait_until

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class PreparedStep(Generic[P]):
    """One step of a kind of visit."""

    number: int  # in `LoadStarted.tags`; -1 if it has none
    think_s: float  # a pause before it
    prepared: P


@dataclass(slots=True)
class Visit:
    """One visit of one user."""

    user: int
    values: dict[str, str]  # of its row of the data, and taken from answers
    state: dict[str, Any] = field(default_factory=dict)  # the exchanger's own, such as cookies


class Exchanger(Protocol[P]):
    """Makes the requests of visits; ``connect`` of `senders/http.py` and `senders/python.py` opens one."""

    def prepare(self, what: Mapping[str, Any]) -> P:
        """What `exchange` needs of a step, made before the load begins.

        Raises:
            UsageError: The step cannot be carried out.
        """

    async def exchange(self, request: DriverRequest, step: P, visit: Visit) -> bool:
        """Send the request, wait for its answer and record both; return whether the visit goes on."""


class Visitors(Generic[P]):
    """Runs one task per visit, so that none waits for another."""

    def __init__(
        self,
        flight: InFlightRequests,
        exchanger: Exchanger[P],
        visits: Sequence[Mapping[str, Any]],
        rows: Sequence[Mapping[str, str]],
        *,
        seed: int,
    ) -> None:
        """*visits* are those of the driver's config; the *rows* of the data are used in turn."""
        self._flight = flight
        self._exchanger = exchanger
        numbers = itertools.count()
        self._kinds = [
            [
                PreparedStep(
                    number=next(numbers) if step["tags"] else -1,
                    think_s=step["think_s"],
                    prepared=exchanger.prepare(step),
                )
                for step in each["steps"]
            ]
            for each in visits
        ]
        self._weights = [each["weight"] for each in visits]
        self._rows = itertools.cycle(rows or [{}])
        self._chance = random.Random(seed)
        self._count = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    def arrive(self, due_ns: int) -> None:
        """Start a visit that is due then."""
        self._start(self._visit(due_ns))

    def come(self, user: int, until_ns: int) -> None:
        """Start a user of a closed model, who makes one visit after the other until that time."""
        self._start(self._stay(user, until_ns))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._error = self._error or task.exception()

    def check(self) -> None:
        """Raise what nobody expected in a visit.

        Raises:
            MeasurementError: There was such an error.
        """
        if (error := self._error) is not None:
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            raise MeasurementError(f"a visit failed inside the driver: {text}") from error

    async def wait_over(self) -> None:
        """Return when no visit is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _stay(self, user: int, until_ns: int) -> None:
        while (now_ns := time.monotonic_ns()) < until_ns:
            await self._visit(now_ns, user=user)

    async def _visit(self, due_ns: int, *, user: int = 0) -> None:
        """Make a visit whose first step is due then; each further one when its pause is over."""
        kinds = self._kinds
        (steps,) = kinds if len(kinds) == 1 else self._chance.choices(kinds, self._weights)
        visit = Visit(user, {**next(self._rows), "visit": str(next(self._count)), "user": str(user)})
        for step in steps:
            if step.think_s:
                due_ns += round(step.think_s * 1e9)
                await wait_until(due_ns)
            request = self._flight.begin(due_ns, step=step.number)
            if request is None:
                # In a closed model, the next visit would be due at once.
                await asyncio.sleep(0.01)
                return
            if not await self._exchanger.exchange(request, step.prepared, visit):
                return
            due_ns = time.monotonic_ns()

    async def close(self) -> None:
        """Cancel the visits that are not over yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def tags(visits: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """The tags of the steps that have some, in the order of their numbers."""
    return tuple(tuple(step["tags"]) for each in visits for step in each["steps"] if step["tags"])
