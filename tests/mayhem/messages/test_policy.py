"""The failure policy, row by row, and the table in its docstring, which must match the code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.mayhem import errors
from harness.mayhem.errors import (
    CircuitOpenError,
    HostUnavailableError,
    LeaseLostError,
    MalformedMessageError,
    MayhemError,
    OverdeliveredError,
    OversizedMessageError,
    StorageBrokenError,
    StorageUnavailableError,
)
from harness.mayhem.messages import forgiven_deliveries as excuse
from harness.mayhem.messages import policy
from harness.mayhem.messages.policy import (
    MAX_ATTEMPTS,
    MAX_NACK_S,
    NACK_S,
    RETRY_S,
    Abandon,
    DeadLetter,
    Nack,
    Stop,
    deciding,
    retry_after_s,
    verdict,
)

FIRST, LAST = 1, 5
# The circuit's wait; not a delay that the backoff could give.
WAIT_S = 7.25


@pytest.mark.parametrize(
    ("error", "delivery", "expected"),
    [
        (HostUnavailableError("away"), FIRST, Nack(NACK_S)),
        (HostUnavailableError("away"), LAST, DeadLetter("delivery 5 failed: HostUnavailableError: away")),
        (CircuitOpenError("hosts", WAIT_S), FIRST, Nack(WAIT_S * 2, counts=False)),
        (CircuitOpenError("hosts", WAIT_S), LAST, Nack(WAIT_S * 2, counts=False)),
        (StorageUnavailableError("locked"), FIRST, Nack(NACK_S, counts=False)),
        (StorageUnavailableError("locked"), LAST, Nack(NACK_S * 16, counts=False)),
        (StorageBrokenError("damaged"), FIRST, Stop()),
        (StorageBrokenError("damaged"), LAST, Stop()),
        (LeaseLostError("taken"), FIRST, Abandon()),
        (LeaseLostError("taken"), LAST, Abandon()),
        (MalformedMessageError("not JSON"), FIRST, DeadLetter("not JSON")),
        (MalformedMessageError("not JSON"), LAST, DeadLetter("not JSON")),
        (OversizedMessageError("10 MB"), FIRST, DeadLetter("10 MB")),
        (OversizedMessageError("10 MB"), LAST, DeadLetter("10 MB")),
        (OverdeliveredError("too often"), LAST + 1, DeadLetter("too often")),
        (ValueError("a bug"), FIRST, Nack(NACK_S)),
        (ValueError("a bug"), LAST, DeadLetter("delivery 5 failed: ValueError: a bug")),
    ],
)
def test_verdict(error: Exception, delivery: int, expected: Any) -> None:
    """Each error has its verdict, at the first delivery and at the last one allowed."""
    assert verdict(error, deliveries=delivery, max_deliveries=LAST, spread=1.0) == expected


@pytest.mark.parametrize(("forgiven", "last"), [(0, True), (1, False), (3, False)])
def test_excused_deliveries_are_not_held_against_a_message(forgiven: int, last: bool) -> None:
    """A forgiven delivery gives the message one more."""
    decided = verdict(
        ValueError("a bug"), deliveries=LAST, forgiven=forgiven, max_deliveries=LAST, spread=1.0
    )

    assert isinstance(decided, DeadLetter) == last


ERRORS = [
    HostUnavailableError("away"),
    CircuitOpenError("hosts", WAIT_S),
    StorageUnavailableError("locked"),
    StorageBrokenError("damaged"),
    LeaseLostError("taken"),
    MalformedMessageError("not JSON"),
    OversizedMessageError("10 MB"),
    OverdeliveredError("too often"),
    ValueError("a bug"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_only_hosts_are_retried_in_place(error: Exception) -> None:
    """Only hosts are retried in place."""
    delays = [retry_after_s(error, attempt=number, spread=1.0) for number in range(1, MAX_ATTEMPTS + 1)]

    transient = isinstance(error, HostUnavailableError)
    assert delays == ([RETRY_S, RETRY_S * 2, None] if transient else [None] * MAX_ATTEMPTS)


def test_table_says_what_the_code_does() -> None:
    """Each cell of the docstring's table matches what the functions decide."""
    assert table() == {row_of(error)[0]: row_of(error) for error in ERRORS}


def test_table_is_complete() -> None:
    """Every error that a message can meet has a row; the exceptions are named here."""
    ends = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MayhemError)
    }
    leaves = {kind.__name__ for kind in ends if not kind.__subclasses__()}

    assert leaves - {"SettingsError"} == set(table()) - {"any other"}


def table() -> dict[str, list[str]]:
    """The cells of each row in the docstring, by error."""
    rows = {}
    for line in re.findall(r"^\| (?!error|-)(.*) \|$", policy.__doc__, re.MULTILINE):
        if not line.startswith("-"):
            cells = [cell.strip().strip("`") for cell in line.split("|")]
            rows[cells[0]] = cells
    return rows


def row_of(error: Exception) -> list[str]:
    """The row of that error as the functions decide it."""
    name = type(error).__name__ if isinstance(error, MayhemError) else "any other"
    in_place = retry_after_s(error, attempt=1, spread=1.0)
    first = verdict(error, deliveries=FIRST, max_deliveries=LAST, spread=1.0)
    at_limit = verdict(error, deliveries=LAST, max_deliveries=LAST, spread=1.0)
    match first:
        case Nack(delay_s, counts):
            then = "nack, the circuit's wait" if delay_s == WAIT_S * 2 else "nack, backoff"
            held = "yes" if counts else "no"
        case _:
            then = word(first)
            held = "no" if isinstance(first, Stop) else "yes"
    return [name, "-" if in_place is None else "backoff", then, word(at_limit), held]


def word(decided: Any) -> str:
    return {Nack: "nack", DeadLetter: "dead-letter", Abandon: "abandon", Stop: "stop"}[type(decided)]


def test_first_error_of_a_group_decides() -> None:
    """The first error decides, also in nested groups."""
    first, second = HostUnavailableError("away"), ValueError("a bug")

    assert deciding(first) is first
    assert deciding(ExceptionGroup("", [ExceptionGroup("", [first]), second])) is first


def test_what_must_stop_the_service_decides_always() -> None:
    """An error that must stop the service decides, even if it is not the first."""
    broken = StorageBrokenError("damaged")

    assert deciding(ExceptionGroup("", [HostUnavailableError("away"), broken])) is broken


def test_backoff_is_spread_over_its_upper_half() -> None:
    """Messages that failed together return at different times, but never before half of the delay."""
    error = HostUnavailableError()

    assert retry_after_s(error, attempt=1, spread=0.0) == RETRY_S / 2
    assert retry_after_s(error, attempt=1, spread=0.5) == RETRY_S * 3 / 4


def test_message_comes_back_when_the_circuit_tries_again_and_not_before() -> None:
    """Messages that wait for a circuit return after its pause, and not all at once."""
    error = CircuitOpenError("hosts", WAIT_S)
    decided = [verdict(error, deliveries=1, max_deliveries=LAST, spread=s) for s in (0.0, 0.5)]

    assert decided == [Nack(WAIT_S, counts=False), Nack(WAIT_S * 1.5, counts=False)]


def test_backoff_is_bounded() -> None:
    """The delay never exceeds the limit, even after ten thousand deliveries."""
    again = verdict(StorageUnavailableError(), deliveries=10_000, max_deliveries=LAST, spread=1.0)

    assert again == Nack(MAX_NACK_S, counts=False)


def test_excuses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the oldest message is evicted; a settled one is dropped at once."""
    monkeypatch.setattr(excuse, "MAX_FORGIVEN", 2)
    excuses = excuse.ForgivenDeliveries()
    for message_id in ("a", "b", "a", "c"):
        excuses.add(message_id)
    excuses.forget("c")

    assert [excuses.of(message_id) for message_id in "abc"] == [2, 0, 0]
