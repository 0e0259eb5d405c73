"""Circuits open, close again, and stop the consumer meanwhile."""

from __future__ import annotations

import asyncio
import logging

import pytest

from harness.mayhem.errors import CircuitOpenError, HostUnavailableError, StorageUnavailableError
from harness.mayhem.messages import circuit as circuit_module
from harness.mayhem.messages.circuit import Circuit, CircuitLimits, Circuits, Gate, State
from tests.mayhem.support.clock import ManualClock

PATIENCE_S = 20
LIMITS = CircuitLimits(failures=3, pause_s=10.0, max_pause_s=35.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def circuit(clock: ManualClock) -> Circuit:
    return Circuit("hosts", HostUnavailableError, LIMITS, clock=clock)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def state_of(circuit: Circuit) -> State:
    """The state now; as a call, so that mypy does not narrow it."""
    return circuit.state


def admits(circuit: Circuit) -> bool:
    try:
        circuit.admit()
    except CircuitOpenError:
        return False
    return True


def test_opens_after_failures_in_a_row(circuit: Circuit) -> None:
    """With one failure less, or a success in between, it stays closed."""
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 2)
    assert (circuit.state, admits(circuit)) == (State.CLOSED, True)
    circuit.failed()

    assert (circuit.state, admits(circuit)) == (State.OPEN, False)


def test_refusal_says_when_to_come_again(circuit: Circuit, clock: ManualClock) -> None:
    """The error names the dependency and the rest of the pause."""
    fail(circuit, 3)
    clock.advance(4)
    with pytest.raises(CircuitOpenError, match=r"hosts: circuit open, next try in 6\.0 s") as raised:
        circuit.admit()

    assert raised.value.retry_after_s == 6.0


def test_one_trial_after_the_pause(circuit: Circuit, clock: ManualClock) -> None:
    """After the pause, one call is let through, and no second one until it has ended."""
    fail(circuit, 3)
    clock.advance(10)

    assert [admits(circuit), admits(circuit), admits(circuit)] == [True, False, False]
    assert circuit.state is State.HALF_OPEN


def test_successful_trial_closes(circuit: Circuit, clock: ManualClock) -> None:
    """After a successful trial, the circuit is closed, and opens again only after as many failures."""
    fail(circuit, 3)
    clock.advance(10)
    circuit.admit()
    circuit.succeeded()
    assert admits(circuit)
    fail(circuit, 2)

    assert circuit.state is State.CLOSED


def test_failed_trial_doubles_the_pause_up_to_its_limit(circuit: Circuit, clock: ManualClock) -> None:
    """The pause doubles up to the limit; a success resets it."""
    fail(circuit, 3)
    waits = []
    for _ in range(4):
        waits.append(circuit.wait_s())
        clock.advance(circuit.wait_s())
        circuit.admit()
        circuit.failed()
    clock.advance(circuit.wait_s())
    circuit.admit()
    circuit.succeeded()
    fail(circuit, 3)

    assert waits == [10, 20, 35, 35]
    assert circuit.wait_s() == 10


def test_trial_that_never_ends_is_followed_by_another(circuit: Circuit, clock: ManualClock) -> None:
    """A cancelled trial has no outcome, and another trial follows."""
    fail(circuit, 3)
    clock.advance(10)
    circuit.admit()
    clock.advance(9.9)
    assert not admits(circuit)
    clock.advance(0.1)

    assert admits(circuit)


def test_late_outcomes_do_not_move_an_open_circuit(circuit: Circuit) -> None:
    """Calls that began before the circuit opened neither close it nor prolong its pause."""
    fail(circuit, 30)
    circuit.succeeded()

    assert (circuit.state, circuit.wait_s()) == (State.OPEN, 10)


def test_only_the_failure_that_it_is_for_counts(circuit: Circuit) -> None:
    """Only successes and the dependency's own error count, not bugs or cancellations."""
    for error in (ValueError, asyncio.CancelledError, StorageUnavailableError):
        for _ in range(10):
            with pytest.raises(error), circuit:
                raise error
    assert state_of(circuit) is State.CLOSED
    for _ in range(2):
        with pytest.raises(HostUnavailableError), circuit:
            raise HostUnavailableError
    with circuit:
        pass
    for _ in range(3):
        assert state_of(circuit) is State.CLOSED
        with pytest.raises(HostUnavailableError), circuit:
            raise HostUnavailableError

    assert circuit.state is State.OPEN


async def test_gate_is_open_while_all_is_well() -> None:
    """With closed circuits, the gate admits all messages."""
    assert await Circuits().gate.admitted(50) == 50


async def test_gate_waits_as_long_as_the_pause() -> None:
    """While the store's circuit is open, nothing is pulled; then one message, as the trial."""
    circuits = Circuits(CircuitLimits(failures=3, pause_s=0.05))
    fail(circuits.store, 3)
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert await circuits.gate.admitted(50) == 1
    assert loop.time() - began >= 0.04
    assert circuits.states() == {"store": "half-open", "broker": "closed"}


async def test_gate_opens_when_the_trial_has_succeeded(clock: ManualClock) -> None:
    """During the trial nothing else is pulled; once it is saved, everything is."""
    circuits = Circuits(CircuitLimits(failures=3, pause_s=1000.0, max_pause_s=1000.0), clock=clock)
    fail(circuits.store, 3)
    clock.advance(1000)
    assert await circuits.gate.admitted(50) == 1
    pulling = asyncio.create_task(circuits.gate.admitted(50))
    await asyncio.sleep(0)
    assert not pulling.done()
    circuits.store.succeeded()

    async with asyncio.timeout(PATIENCE_S):
        assert await pulling == 50


async def test_gate_waits_for_the_last_of_two() -> None:
    """With two open circuits, the longer pause decides."""
    clock = ManualClock()
    short, long = (
        Circuit(name, StorageUnavailableError, CircuitLimits(failures=1, pause_s=s), clock=clock)
        for name, s in (("a", 1), ("b", 2))
    )
    gate = Gate((short, long))
    short.failed()
    long.failed()
    clock.advance(1)
    pulling = asyncio.create_task(gate.admitted(50))
    await asyncio.sleep(0)
    assert not pulling.done()
    clock.advance(1)
    gate.recheck()

    async with asyncio.timeout(PATIENCE_S):
        assert await pulling == 1
    assert (short.state, long.state) == (State.HALF_OPEN, State.HALF_OPEN)


async def test_hosts_do_not_close_the_gate() -> None:
    """An open circuit of hosts does not stop the pulling."""
    circuits = Circuits(CircuitLimits(failures=1))
    circuits.hosts("web-1").failed()

    assert circuits.states() == {"store": "closed", "broker": "closed", "hosts": "open"}
    assert await circuits.gate.admitted(50) == 50


async def test_groups_of_hosts_fail_apart() -> None:
    """Each group of hosts has its own circuit."""
    circuits = Circuits(CircuitLimits(failures=1), group_of=lambda host: host.partition("-")[0])
    circuits.hosts("web-1").failed()

    assert not admits(circuits.hosts("web-2"))
    assert admits(circuits.hosts("db-1"))


async def test_limits_change_while_it_runs() -> None:
    """New limits apply to existing and future circuits."""
    circuits = Circuits(CircuitLimits(failures=10))
    known = circuits.hosts("web-1")
    circuits.set_limits(CircuitLimits(failures=1, pause_s=5.0))
    known.failed()
    circuits.store.failed()

    assert circuits.states() == {"store": "open", "broker": "closed", "hosts": "open"}


async def test_every_transition_is_one_line_and_one_metric(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening is logged as a warning, other transitions as info; metrics show the same."""
    caplog.set_level(logging.INFO)
    recorded = []
    monkeypatch.setattr(
        circuit_module, "record_circuit", lambda dependency, state: recorded.append((dependency, str(state)))
    )
    clock = ManualClock()
    circuits = Circuits(LIMITS, clock=clock)
    fail(circuits.store, 10)
    clock.advance(10)
    assert await circuits.gate.admitted(50) == 1
    circuits.store.succeeded()
    circuits.store.succeeded()

    lines = [
        (r.levelname, r.getMessage(), vars(r)["dependency"], vars(r)["next_trial_s"]) for r in caplog.records
    ]
    assert lines == [
        ("WARNING", "circuit open", "store", 10.0),
        ("INFO", "circuit half-open", "store", 10.0),
        ("INFO", "circuit closed", "store", 0.0),
    ]
    assert recorded == [
        ("store", "closed"),
        ("broker", "closed"),
        ("store", "open"),
        ("store", "half-open"),
        ("store", "closed"),
    ]
