"""Decides what a failure does to its message. Pure functions of their arguments.

| error                     | in place | then                     | at the limit | counts          |
|---------------------------|----------|--------------------------|--------------|-----------------|
| `HostUnavailableError`    | backoff  | nack, backoff            | dead-letter  | yes             |
| `CircuitOpenError`        | -        | nack, the circuit's wait | nack         | no              |
| `StorageUnavailableError` | -        | nack, backoff            | nack         | no              |
| `StorageBrokenError`      | -        | stop                     | stop         | no              |
| `LeaseLostError`          | -        | abandon                  | abandon      | yes             |
| `MalformedMessageError`   | -        | dead-letter              | dead-letter  | yes             |
| `OversizedMessageError`   | -        | dead-letter              | dead-letter  | yes             |
| `OverdeliveredError`      | -        | dead-letter              | dead-letter  | yes             |
| any other                 | -        | nack, backoff            | dead-letter  | yes             |

*In place* is up to `MAX_ATTEMPTS` attempts. *The limit* is the last delivery a message is allowed. A delivery
that does not *count* is not counted towards it, so that an unavailable dependency does not move a whole queue
to the dead letters.

Cancellation is not a failure: the message is handed back, and the cancellation propagates.
`tests/mayhem/messages/test_policy.py` compares this table with the code.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import (
    CircuitOpenError,
    HostUnavailableError,
    LeaseLostError,
    MalformedMessageError,
    OverdeliveredError,
    OversizedMessageError,
    StorageBrokenError,
    StorageUnavailableError,
    leaves,
)

# A message that is retried in place occupies one of the consumer's slots, so few attempts only.
MAX_ATTEMPTS = 3
RETRY_S = 0.1
# A message that was handed back costs nothing: the delay grows with each delivery, up to a minute.
NACK_S = 0.5
MAX_NACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Nack:
    """Hand the message back."""

    delay_s: float
    counts: bool = True  # whether this delivery counts towards the limit


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Move the message to the dead letters."""

    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Do nothing: another consumer may hold the message."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Hand the message back without counting the delivery, and end the service: every message would fail."""


Verdict = Nack | DeadLetter | Abandon | Stop


def retry_after_s(error: Exception, *, attempt: int, spread: float) -> float | None:
    """Seconds until the next attempt in place, or None for no more attempts.

    Args:
        attempt: The number of the failed attempt, from 1.
        spread: Random number from 0 to 1; keeps messages that failed together from being retried together.
    """
    if isinstance(error, HostUnavailableError) and attempt < MAX_ATTEMPTS:
        return _backoff_s(RETRY_S, attempt, spread)
    return None


def deciding(error: Exception) -> BaseException:
    """The error of a group that decides; a single error decides itself.

    This is the first one, which caused the others to be cancelled, unless one of them must stop the service.
    """
    errors = list(leaves(error))
    return next((each for each in errors if isinstance(each, StorageBrokenError)), errors[0])


def verdict(
    error: BaseException, *, deliveries: int, forgiven: int = 0, max_deliveries: int, spread: float
) -> Verdict:
    """Decide what happens to a message whose handling failed.

    Args:
        error: A single error, see `deciding`.
        deliveries: Number of deliveries of the message, including this one.
        forgiven: Number of them that do not count.
        max_deliveries: Counted deliveries after which the message is not handed back again.
        spread: See `retry_after_s`.
    """
    delay_s = min(_backoff_s(NACK_S, deliveries, spread), MAX_NACK_S)
    match error:
        case StorageBrokenError():
            return Stop()
        case LeaseLostError():
            return Abandon()
        case CircuitOpenError():
            # Spread, so that messages waiting for the same circuit do not all return at once.
            return Nack(error.retry_after_s * (1 + spread), counts=False)
        case StorageUnavailableError():
            return Nack(delay_s, counts=False)
        case MalformedMessageError() | OversizedMessageError() | OverdeliveredError():
            return DeadLetter(str(error))
        case _ if deliveries - forgiven >= max_deliveries:
            return DeadLetter(f"delivery {deliveries} failed: {type(error).__name__}: {error}")
        case _:
            return Nack(delay_s)


def _backoff_s(first_s: float, attempt: int, spread: float) -> float:
    # Capped, because 2.0**1024 overflows; callers have lower limits. *spread* varies the upper half.
    return first_s * 2.0 ** min(attempt - 1, 16) * (0.5 + spread / 2)
