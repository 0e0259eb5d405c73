"""The failure policy, row by row."""

from __future__ import annotations

import pytest

from harness.mayhem.errors import (
    HostUnavailableError,
    LeaseLostError,
    MalformedMessageError,
    OverdeliveredError,
    StorageBrokenError,
    StorageUnavailableError,
)
from harness.mayhem.policy import (
    MAX_ATTEMPTS,
    MAX_NACK_S,
    NACK_S,
    RETRY_S,
    DeadLetter,
    LetGo,
    Nack,
    Stop,
    retry_after_s,
    verdict,
)

FIRST, LAST = 1, 5


@pytest.mark.parametrize(
    ("error", "delivery", "expected"),
    [
        (HostUnavailableError("away"), FIRST, Nack(NACK_S)),
        (HostUnavailableError("away"), LAST, DeadLetter("delivery 5 failed: HostUnavailableError: away")),
        (StorageUnavailableError("locked"), FIRST, Nack(NACK_S)),
        (StorageUnavailableError("locked"), LAST, Nack(NACK_S * 16)),
        (StorageBrokenError("damaged"), FIRST, Stop()),
        (StorageBrokenError("damaged"), LAST, Stop()),
        (LeaseLostError("taken"), FIRST, LetGo()),
        (LeaseLostError("taken"), LAST, LetGo()),
        (MalformedMessageError("not JSON"), FIRST, DeadLetter("not JSON")),
        (OverdeliveredError("too often"), LAST + 1, DeadLetter("too often")),
        (ValueError("a bug"), FIRST, Nack(NACK_S)),
        (ValueError("a bug"), LAST, DeadLetter("delivery 5 failed: ValueError: a bug")),
    ],
)
def test_verdict(error, delivery, expected):
    """Each error has its row, and the last delivery that is allowed makes the difference where it should."""
    assert verdict(error, deliveries=delivery, max_deliveries=LAST, spread=1.0) == expected


@pytest.mark.parametrize("error", [HostUnavailableError(), StorageUnavailableError(), ValueError()])
def test_only_hosts_are_retried_in_place(error):
    """A host may be back in a moment; anything else is not worth a slot."""
    delays = [retry_after_s(error, attempt=number, spread=1.0) for number in range(1, MAX_ATTEMPTS + 1)]

    transient = isinstance(error, HostUnavailableError)
    assert delays == ([RETRY_S, RETRY_S * 2, None] if transient else [None] * MAX_ATTEMPTS)


def test_backoff_is_spread_over_its_upper_half():
    """Two that failed together come back at different times, but never before half of the delay."""
    error = HostUnavailableError()

    assert retry_after_s(error, attempt=1, spread=0.0) == RETRY_S / 2
    assert retry_after_s(error, attempt=1, spread=0.5) == RETRY_S * 3 / 4


def test_backoff_is_bounded():
    """A message that was handed out ten thousand times waits no longer than the limit."""
    again = verdict(StorageUnavailableError(), deliveries=10_000, max_deliveries=LAST, spread=1.0)

    assert again == Nack(MAX_NACK_S)
