"""What a failure does to its message. Pure functions: everything they need is an argument.

| error                     | in place | then                     | at the limit | held against it |
|---------------------------|----------|--------------------------|--------------|-----------------|
| `HostUnavailableError`    | backoff  | nack, backoff            | dead-letter  | yes             |
| `CircuitOpenError`        | -        | nack, the circuit's wait | nack         | no              |
| `StorageUnavailableError` | -        | nack, backoff            | nack         | no              |
| `StorageBrokenError`      | -        | stop                     | stop         | no              |
| `LeaseLostError`          | -        | let go                   | let go       | yes             |
| `MalformedMessageError`   | -        | dead-letter              | dead-letter  | yes             |
| `OversizedMessageError`   | -        | dead-letter              | dead-letter  | yes             |
| `OverdeliveredError`      | -        | dead-letter              | dead-letter  | yes             |
| any other                 | -        | nack, backoff            | dead-letter  | yes             |

*In place* is up to `MAX_ATTEMPTS` attempts. *The limit* is the last delivery a message is allowed; one that
is not *held against it* does not count towards that: what is away must not burn a queue through to its dead
letters.

Cancellation is no failure and is not asked about here: it hands the message back and travels on.
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

# In place, a message occupies one of the consumer's slots: three attempts ride out a hiccup, no more.
MAX_ATTEMPTS = 3
RETRY_S = 0.1
# Handed back, it costs nothing: what is down is given longer each time, but is back in use within a minute.
NACK_S = 0.5
MAX_NACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Nack:
    """Hand the message back."""

    delay_s: float
    counts: bool = True  # whether this delivery is held against the message


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Lay the message aside."""

    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Do nothing: the message is no longer ours."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Hand the message back, not held against it, and end the service: the next would fare no better."""


Verdict = Nack | DeadLetter | Abandon | Stop


def retry_after_s(error: Exception, *, attempt: int, spread: float) -> float | None:
    """How long to wait before the next attempt in place; none for no more attempts.

    Args:
        attempt: The number of the attempt that failed, from 1.
        spread: From 0 to 1, drawn by the caller: keeps those that failed together from coming back together.
    """
    if isinstance(error, HostUnavailableError) and attempt < MAX_ATTEMPTS:
        return _backoff_s(RETRY_S, attempt, spread)
    return None


def deciding(error: Exception) -> BaseException:
    """Which of the errors in a group decides; a single error is its own group.

    The first one: it is why the others were cancelled. But what must stop the service does, whenever it came.
    """
    errors = list(leaves(error))
    return next((each for each in errors if isinstance(each, StorageBrokenError)), errors[0])


def verdict(
    error: BaseException, *, deliveries: int, forgiven: int = 0, max_deliveries: int, spread: float
) -> Verdict:
    """What becomes of a message whose handling failed for good.

    Args:
        error: No group: see `deciding`.
        deliveries: How often the message was handed out, this time included.
        forgiven: How many of them are not held against it.
        max_deliveries: When so many are held against it, it is not handed back once more.
        spread: As for `retry_after_s`.
    """
    delay_s = min(_backoff_s(NACK_S, deliveries, spread), MAX_NACK_S)
    match error:
        case StorageBrokenError():
            return Stop()
        case LeaseLostError():
            return Abandon()
        case CircuitOpenError():
            # Spread as well: all that wait for the same circuit would come back in the same instant.
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
    """Doubles with each attempt; the lower half is certain, the upper half is spread."""
    # Beyond 2**16 every caller's own limit has long been reached; 2.0**1024 would overflow.
    return first_s * 2.0 ** min(attempt - 1, 16) * (0.5 + spread / 2)
