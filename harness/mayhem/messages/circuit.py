"""Circuits: a dependency that fails repeatedly is not called for a while.

           consecutive failures             pause over: one trial
    CLOSED ────────────────────► OPEN ────────────────────────────► HALF-OPEN
       ▲                          ▲                                  │     │
       │                          └── failed: twice the pause ───────┘     │
       └──────────────────────────────── succeeded ────────────────────────┘

Some messages need a given group of hosts: while its circuit is open, `Circuit.admit` refuses them, they go
back to the broker, and others are handled. All messages need the store and the broker: while one of their
circuits is open, the `Gate` stops the pulling, or the whole queue would end up in the dead letters.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from ..errors import CircuitOpenError, HostUnavailableError, StorageUnavailableError
from ..operations.metrics import record_circuit

log = logging.getLogger(__name__)


class State(StrEnum):
    """How many calls a circuit lets through: all, one as a trial, or none."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """When a circuit opens, and for how long."""

    # Consecutive, because hosts that fail at random are normal: if every third call fails, ten in a row
    # happen once in 90,000 calls.
    failures: int = 10
    pause_s: float = 1.0
    max_pause_s: float = 30.0  # the pause doubles after each failed trial, up to this


class Circuit:
    """One dependency's circuit; as a context manager, it records the outcome of the call inside.

    The outcome of a call that began before the circuit opened counts as the trial's: at worst, the circuit
    closes too early and opens again.

    Args:
        failure: The error that means the dependency is down; others are ignored.
        changed: Called after each change of `state`.
    """

    def __init__(
        self,
        dependency: str,
        failure: type[Exception],
        limits: CircuitLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[Circuit], object] = lambda circuit: None,
    ) -> None:
        self.dependency = dependency
        self.limits = limits
        self.state = State.CLOSED
        self._failure = failure
        self._clock = clock
        self._changed = changed
        self._in_a_row = 0
        self._failed_trials = 0
        self._next_trial = 0.0

    def admit(self) -> None:
        """Let a call through, possibly as the trial.

        Raises:
            CircuitOpenError: The circuit is open.
        """
        if self.state is not State.CLOSED and not self.begin_trial():
            raise CircuitOpenError(self.dependency, self.wait_s())

    def begin_trial(self) -> bool:
        """Become half-open if the pause is over. If a trial never reports its outcome, another follows."""
        if self.wait_s() > 0:
            return False
        self._next_trial = self._clock() + self._pause_s()
        self._become(State.HALF_OPEN)
        return True

    def wait_s(self) -> float:
        """Seconds until the next trial; 0 if none is needed."""
        if self.state is State.CLOSED:
            return 0.0
        return max(0.0, self._next_trial - self._clock())

    def succeeded(self) -> None:
        self._in_a_row = 0
        if self.state is State.HALF_OPEN:
            self._failed_trials = 0
            self._become(State.CLOSED)

    def failed(self) -> None:
        self._in_a_row += 1
        if self.state is State.HALF_OPEN:
            self._failed_trials += 1
            self._open()
        elif self.state is State.CLOSED and self._in_a_row >= self.limits.failures:
            self._open()

    def __enter__(self) -> None:
        """Never refuses a call; `admit` does."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.succeeded()
        elif issubclass(kind, self._failure):
            self.failed()

    def _open(self) -> None:
        self._next_trial = self._clock() + self._pause_s()
        self._become(State.OPEN)

    def _pause_s(self) -> float:
        # Capped, because 2.0**1024 overflows.
        return min(self.limits.pause_s * 2.0 ** min(self._failed_trials, 16), self.limits.max_pause_s)

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(self)


class Gate:
    """Stops the pulling while one of the circuits is open, and then admits one message as a trial."""

    def __init__(self, circuits: Sequence[Circuit]) -> None:
        self._circuits = circuits
        self._changed = asyncio.Event()

    async def admitted(self, limit: int) -> int:
        """Wait until messages may be pulled, and return how many of *limit*, at least one."""
        while not_closed := [circuit for circuit in self._circuits if circuit.state is not State.CLOSED]:
            wait_s = max(circuit.wait_s() for circuit in not_closed)
            if not wait_s:
                for circuit in not_closed:
                    circuit.begin_trial()
                return 1
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        return limit

    def recheck(self) -> None:
        """Called when a circuit has changed."""
        self._changed.set()


class Circuits:
    """The circuits of the service: of its store, its broker, and each group of hosts.

    Args:
        group_of: Returns the group of hosts that fail together with a given one.
        clock: Returns seconds.
    """

    def __init__(
        self,
        limits: CircuitLimits | None = None,
        *,
        group_of: Callable[[str], str] = lambda host: "hosts",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or CircuitLimits()
        self._group_of = group_of
        self._clock = clock
        self.store = self._new("store", StorageUnavailableError)
        self.broker = self._new("broker", StorageUnavailableError)
        self.gate = Gate((self.store, self.broker))
        self._hosts: dict[str, Circuit] = {}  # by group

    def hosts(self, host: str) -> Circuit:
        """The circuit of the host's group."""
        if (group := self._group_of(host)) not in self._hosts:
            self._hosts[group] = self._new(group, HostUnavailableError)
        return self._hosts[group]

    def states(self) -> dict[str, str]:
        """The state of every circuit, by its dependency."""
        return {circuit.dependency: str(circuit.state) for circuit in self._all()}

    def set_limits(self, limits: CircuitLimits) -> None:
        """Change the limits; an open circuit keeps its current pause."""
        self._limits = limits
        for circuit in self._all():
            circuit.limits = limits

    def _all(self) -> list[Circuit]:
        return [self.store, self.broker, *self._hosts.values()]

    def _new(self, dependency: str, failure: type[Exception]) -> Circuit:
        record_circuit(dependency, State.CLOSED)
        return Circuit(dependency, failure, self._limits, clock=self._clock, changed=self._report)

    def _report(self, circuit: Circuit) -> None:
        level = logging.WARNING if circuit.state is State.OPEN else logging.INFO
        extra = {"dependency": circuit.dependency, "next_trial_s": round(circuit.wait_s(), 3)}
        log.log(level, "circuit %s", circuit.state, extra=extra)
        record_circuit(circuit.dependency, circuit.state)
        self.gate.recheck()
