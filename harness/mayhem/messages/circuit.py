"""Circuits: a dependency that fails again and again is left in peace for a while.

             failures in a row              pause over: one trial
    CLOSED ────────────────────► OPEN ────────────────────────────► HALF-OPEN
       ▲                          ▲                                  │     │
       │                          └── it failed: twice the pause ────┘     │
       └──────────────────────────────── it succeeded ─────────────────────┘

A group of hosts is needed by some messages: while its circuit is open, `Circuit.admit` refuses them, they go
back to the broker, and the others go on. The store and the broker are needed by all: nothing is gained by
refusing, but no more may be pulled, or the whole queue would burn through to its dead letters. That is the
`Gate`.
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
    """What a circuit does with calls: lets all through, one, or none."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """When a circuit opens, and for how long."""

    # In a row, because hosts that fail at random are nothing unusual: where every third call fails, these ten
    # come together once in 90,000 calls.
    failures: int = 10
    pause_s: float = 1.0
    max_pause_s: float = 30.0  # doubled after each trial that failed, up to this


class Circuit:
    """One dependency's circuit. As a context, it takes the outcome of the call inside.

    The outcome of a call that began before the circuit opened is taken for the trial's; at worst, the circuit
    closes too early and opens again.

    Args:
        failure: The error that says the dependency is down; others say nothing of it.
        changed: Told after each change of `state`.
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
        """Let a call through, be it as the trial.

        Raises:
            CircuitOpenError: Not now.
        """
        if self.state is not State.CLOSED and not self.begin_trial():
            raise CircuitOpenError(self.dependency, self.wait_s())

    def begin_trial(self) -> bool:
        """Become half-open if it is time; a trial that never says how it ended is followed by another."""
        if self.wait_s() > 0:
            return False
        self._next_trial = self._clock() + self._pause_s()
        self._become(State.HALF_OPEN)
        return True

    def wait_s(self) -> float:
        """How long until the next trial; 0 if none is needed."""
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
        """Nothing is refused here: that is what `admit` is for."""

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
        # Beyond 2**16 any limit has long been reached; 2.0**1024 would overflow.
        return min(self.limits.pause_s * 2.0 ** min(self._failed_trials, 16), self.limits.max_pause_s)

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(self)


class Gate:
    """Holds up a consumer while one of the circuits is open, and lets one message through as a trial."""

    def __init__(self, circuits: Sequence[Circuit]) -> None:
        self._circuits = circuits
        self._changed = asyncio.Event()

    async def admitted(self, limit: int) -> int:
        """How many of *limit* messages may be pulled, at least one; waits until any may."""
        while troubled := [circuit for circuit in self._circuits if circuit.state is not State.CLOSED]:
            wait_s = max(circuit.wait_s() for circuit in troubled)
            if not wait_s:
                for circuit in troubled:
                    circuit.begin_trial()
                return 1
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        return limit

    def recheck(self) -> None:
        """A circuit has changed."""
        self._changed.set()


class Circuits:
    """The circuits of the service: its store's, its broker's, and one for each group of hosts.

    Args:
        group_of: The group a host fails with, by its name.
        clock: Seconds, for all of them.
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
        group = self._group_of(host)
        if group not in self._hosts:
            self._hosts[group] = self._new(group, HostUnavailableError)
        return self._hosts[group]

    def states(self) -> dict[str, str]:
        """The state of every circuit there is, by its dependency."""
        return {circuit.dependency: str(circuit.state) for circuit in self._all()}

    def set_limits(self, limits: CircuitLimits) -> None:
        """Go by these from now on; what is open stays so for as long as it was told."""
        self._limits = limits
        for circuit in self._all():
            circuit.limits = limits

    def _all(self) -> list[Circuit]:
        return [self.store, self.broker, *self._hosts.values()]

    def _new(self, dependency: str, failure: type[Exception]) -> Circuit:
        record_circuit(dependency, State.CLOSED)
        return Circuit(dependency, failure, self._limits, clock=self._clock, changed=self._tell)

    def _tell(self, circuit: Circuit) -> None:
        level = logging.WARNING if circuit.state is State.OPEN else logging.INFO
        log.log(
            level,
            "circuit %s",
            circuit.state,
            extra={"dependency": circuit.dependency, "next_trial_s": round(circuit.wait_s(), 3)},
        )
        record_circuit(circuit.dependency, circuit.state)
        self.gate.recheck()
