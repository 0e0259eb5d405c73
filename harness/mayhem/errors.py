"""What can go wrong in the service, as one tree. `policy.py` says what each of them does to a message.

MayhemError
├── SettingsError           an option or variable is wrong; nothing was started
├── MalformedMessageError   the message can never be handled
├── OversizedMessageError   the message is larger than a consumer takes
├── OverdeliveredError      the message was handed out too often; it may be what kills its consumers
├── LeaseLostError          the broker may have handed the message to another consumer
├── HostUnavailableError    the host did not answer; it may in a moment
├── CircuitOpenError        what the message needs has failed too often just now; it is left in peace
└── StorageError
    ├── StorageUnavailableError   the storage did not answer; it may later
    └── StorageBrokenError        the storage will not come back without help
"""

from __future__ import annotations

from collections.abc import Iterator


class MayhemError(Exception):
    """The root of every error the service raises on purpose."""

    exit_code = 1


class SettingsError(MayhemError):
    """An option or environment variable is wrong; nothing was started."""

    exit_code = 2


class MalformedMessageError(MayhemError):
    """The message's body is not a restart event: no attempt will ever succeed."""


class OversizedMessageError(MayhemError):
    """The message's body is larger than a consumer takes: reading it would hold up all the others."""


class OverdeliveredError(MayhemError):
    """The message was handed out more often than the limit allows, without ever being settled."""


class LeaseLostError(MayhemError):
    """The delivery was settled, or its lease ran out and the broker handed the message out again."""


class HostUnavailableError(MayhemError):
    """The host did not answer, or is not healthy after its restart."""


class CircuitOpenError(MayhemError):
    """A dependency is not asked while its circuit is open; nothing is wrong with the message."""

    def __init__(self, dependency: str, retry_after_s: float) -> None:
        super().__init__(f"{dependency}: circuit open, next try in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class StorageError(MayhemError):
    """The broker's or the store's storage failed."""


class StorageUnavailableError(StorageError):
    """The storage is locked, full or away: the same call may work later."""


class StorageBrokenError(StorageError):
    """The storage is damaged or was misused: the same call will never work."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that are in nested groups, in their order; a single error is its own group."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error
