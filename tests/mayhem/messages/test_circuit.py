"""Circuits: when they open, how they close again, and that the consumer is held up meanwhile."""

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
    """One failure less, or a success between, and it stays closed."""
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 2)
    assert (circuit.state, admits(circuit)) == (State.CLOSED, True)
    circuit.failed()

    assert (circuit.state, admits(circuit)) == (State.OPEN, False)


def test_refusal_says_when_to_come_again(circuit: Circuit, clock: ManualClock) -> None:
    """The error names the dependency and what is left of the pause."""
    fail(circuit, 3)
    clock.advance(4)
    with pytest.raises(CircuitOpenError, match=r"hosts: circuit open, next try in 6\.0 s") as raised:
        circuit.admit()

    assert raised.value.retry_after_s == 6.0


def test_one_trial_after_the_pause(circuit: Circuit, clock: ManualClock) -> None:
    """When the pause is over, one call is let through, and no second one while that is on its way."""
    fail(circuit, 3)
    clock.advance(10)

    assert [admits(circuit), admits(circuit), admits(circuit)] == [True, False, False]
    assert circuit.state is State.HALF_OPEN


def test_successful_trial_closes(circuit: Circuit, clock: ManualClock) -> None:
    """After it all calls are let through, and it takes as many failures as ever to open again."""
    fail(circuit, 3)
    clock.advance(10)
    circuit.admit()
    circuit.succeeded()
    assert admits(circuit)
    fail(circuit, 2)

    assert circuit.state is State.CLOSED


def test_failed_trial_doubles_the_pause_up_to_its_limit(circuit: Circuit, clock: ManualClock) -> None:
    """10 s, 20 s, and then the limit; a success makes it 10 s again."""
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
    """A trial that was cancelled says nothing; the circuit does not wait for it for ever."""
    fail(circuit, 3)
    clock.advance(10)
    circuit.admit()
    clock.advance(9.9)
    assert not admits(circuit)
    clock.advance(0.1)

    assert admits(circuit)


def test_late_outcomes_do_not_move_an_open_circuit(circuit: Circuit) -> None:
    """Calls that began before it opened neither close it nor make its pause longer."""
    fail(circuit, 30)
    circuit.succeeded()

    assert (circuit.state, circuit.wait_s()) == (State.OPEN, 10)


def test_only_the_failure_that_it_is_for_counts(circuit: Circuit) -> None:
    """A bug or a cancellation says nothing of the dependency; a success does, and so does its failure."""
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
    """Everything that is asked for may be pulled."""
    assert await Circuits().gate.admitted(50) == 50


async def test_gate_waits_as_long_as_the_pause() -> None:
    """While the store's circuit is open nothing is pulled; then one message, as the trial."""
    circuits = Circuits(CircuitLimits(failures=3, pause_s=0.05))
    fail(circuits.store, 3)
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert await circuits.gate.admitted(50) == 1
    assert loop.time() - began >= 0.04
    assert circuits.states() == {"store": "half-open", "broker": "closed"}


async def test_gate_opens_when_the_trial_has_succeeded(clock: ManualClock) -> None:
    """Nothing is pulled beside the trial's message; when that is saved, everything is, at once."""
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
    """With two circuits open, the one that takes longer decides."""
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
    """Other messages need other hosts."""
    circuits = Circuits(CircuitLimits(failures=1))
    circuits.hosts("web-1").failed()

    assert circuits.states() == {"store": "closed", "broker": "closed", "hosts": "open"}
    assert await circuits.gate.admitted(50) == 50


async def test_groups_of_hosts_fail_apart() -> None:
    """One group's circuit says nothing about another's."""
    circuits = Circuits(CircuitLimits(failures=1), group_of=lambda host: host.partition("-")[0])
    circuits.hosts("web-1").failed()

    assert not admits(circuits.hosts("web-2"))
    assert admits(circuits.hosts("db-1"))


async def test_limits_change_while_it_runs() -> None:
    """New limits hold for circuits that exist and for those to come."""
    circuits = Circuits(CircuitLimits(failures=10))
    known = circuits.hosts("web-1")
    circuits.set_limits(CircuitLimits(failures=1, pause_s=5.0))
    known.failed()
    circuits.store.failed()

    assert circuits.states() == {"store": "open", "broker": "closed", "hosts": "open"}


async def test_every_transition_is_one_line_and_one_metric(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening warns, the rest informs; and who looks at the metrics sees the same."""
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
