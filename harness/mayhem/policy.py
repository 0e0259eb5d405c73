"""What a failure does to its message. Pure functions: everything they need is an argument.

| error                     | in place                     | then                                  |
|---------------------------|------------------------------|---------------------------------------|
| `HostUnavailableError`    | up to `MAX_ATTEMPTS`, backoff| nack; dead-letter at the limit        |
| `StorageUnavailableError` | -                            | nack, always: the message is innocent |
| `StorageBrokenError`      | -                            | stop the service                      |
| `LeaseLostError`          | -                            | let go: it belongs to another         |
| `MalformedMessageError`   | -                            | dead-letter                           |
| `OverdeliveredError`      | -                            | dead-letter                           |
| any other                 | -                            | nack; dead-letter at the limit        |

Cancellation is no failure and is not asked about here: it hands the message back and travels on.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import (
    HostUnavailableError,
    LeaseLostError,
    MalformedMessageError,
    OverdeliveredError,
    StorageBrokenError,
    StorageUnavailableError,
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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Lay the message aside."""

    reason: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Do nothing: the message is no longer ours."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Hand the message back and end the service: the next message would fare no better."""


Verdict = Nack | DeadLetter | LetGo | Stop


def retry_after_s(error: BaseException, *, attempt: int, spread: float) -> float | None:
    """How long to wait before the next attempt in place; none for no more attempts.

    Args:
        attempt: The number of the attempt that failed, from 1.
        spread: From 0 to 1, drawn by the caller: keeps those that failed together from coming back together.
    """
    if isinstance(error, HostUnavailableError) and attempt < MAX_ATTEMPTS:
        return _backoff_s(RETRY_S, attempt, spread)
    return None


def verdict(error: BaseException, *, deliveries: int, max_deliveries: int, spread: float) -> Verdict:
    """What becomes of a message whose handling failed for good.

    Args:
        deliveries: How often the message was handed out, this time included.
        max_deliveries: From this number on it is not handed back once more.
        spread: As for `retry_after_s`.
    """
    again = Nack(min(_backoff_s(NACK_S, deliveries, spread), MAX_NACK_S))
    match error:
        case StorageBrokenError():
            return Stop()
        case LeaseLostError():
            return LetGo()
        case StorageUnavailableError():
            return again
        case MalformedMessageError() | OverdeliveredError():
            return DeadLetter(str(error))
        case _ if deliveries >= max_deliveries:
            return DeadLetter(f"delivery {deliveries} failed: {type(error).__name__}: {error}")
        case _:
            return again


def _backoff_s(first_s: float, attempt: int, spread: float) -> float:
    """Doubles with each attempt; the lower half is certain, the upper half is spread."""
    # Beyond 2**16 every caller's own limit has long been reached; 2.0**1024 would overflow.
    return first_s * 2.0 ** min(attempt - 1, 16) * (0.5 + spread / 2)
