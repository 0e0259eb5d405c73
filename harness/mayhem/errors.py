"""The service's errors as one tree. `messages/policy.py` says what each of them does to a message.

MayhemError
├── SettingsError           an option or variable is wrong; nothing was started
├── MalformedMessageError   the message can never be handled
├── OversizedMessageError   the message is larger than a consumer accepts
├── OverdeliveredError      the message was delivered too often; it may kill its consumers
├── LeaseLostError          the broker may have delivered the message to another consumer
├── HostUnavailableError    the host did not answer; a retry may work
├── CircuitOpenError        a dependency of the message failed too often; it is not called for now
└── StorageError
    ├── StorageUnavailableError   the storage did not answer; a retry may work
    └── StorageBrokenError        the storage needs repair
"""

from __future__ import annotations

from collections.abc import Iterator


class MayhemError(Exception):
    """The base of every error that the service raises on purpose."""

    exit_code = 1


class SettingsError(MayhemError):
    """An option or environment variable is wrong; nothing was started."""

    exit_code = 2


class MalformedMessageError(MayhemError):
    """The message's body is not a restart event; no attempt will ever succeed."""


class OversizedMessageError(MayhemError):
    """The message's body is larger than a consumer accepts: parsing it would block all others."""


class OverdeliveredError(MayhemError):
    """The message was delivered more often than the limit allows, without being settled."""


class LeaseLostError(MayhemError):
    """The delivery was settled, or its lease ended and the broker delivered the message again."""


class HostUnavailableError(MayhemError):
    """The host did not answer, or is not healthy after its restart."""


class CircuitOpenError(MayhemError):
    """A dependency is not called while its circuit is open; the message itself is fine."""

    def __init__(self, dependency: str, retry_after_s: float) -> None:
        super().__init__(f"{dependency}: circuit open, next try in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class StorageError(MayhemError):
    """The broker's or the store's storage failed."""


class StorageUnavailableError(StorageError):
    """The storage is locked, full or unreachable: the same call may work later."""


class StorageBrokenError(StorageError):
    """The storage is damaged or was misused: the same call will never work."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in nested groups, in order; a single error yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error
