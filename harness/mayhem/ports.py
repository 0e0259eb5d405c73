"""The interfaces the service needs: a broker, a store and hosts.

Implementations are in `brokers/`, `stores/` and `hosts/`; they need no base class, only these methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from .message import DeadLettered, Delivery, Message


class Broker(Protocol):
    """Delivers messages at least once, each under a lease.

    A message that is neither settled (`ack`, `nack`, `dead_letter`) nor extended before its lease ends is
    delivered again. All methods raise `StorageError` when the storage fails. Those that take a delivery raise
    `LeaseLostError`, and change nothing, if it no longer holds the message. docs/brokers.md says what each
    broker promises beyond this and what it cannot; `harness.testing.broker` checks it.
    """

    @property
    def system(self) -> str:
        """The kind of broker, for spans and log lines: OpenTelemetry's ``messaging.system``."""

    async def get(self, limit: int) -> Sequence[Delivery]:
        """Wait for messages and take up to *limit*; empty only after `drain`, and then always.

        If cancelled, hands back any messages it has taken.
        """

    async def ack(self, delivery: Delivery) -> None:
        """Mark the message as handled: it is never delivered again."""

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        """Hand the message back: it is delivered again after *delay_s*."""

    async def extend(self, delivery: Delivery) -> None:
        """Extend the lease to its full length from now."""

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """Move the message to the dead letters: it is never delivered again."""

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        """Return up to *limit* dead letters, the oldest first."""

    async def pending(self) -> int:
        """Return the number of unsettled messages, in flight or waiting."""

    def drain(self) -> None:
        """Stop delivering. Called from signal handlers, so it must not wait or fail."""


class PublishPort(Protocol):
    """Accepts a publisher's messages; every broker in this package does."""

    @property
    def system(self) -> str: ...

    async def put(self, message: Message) -> None:
        """Publish; a message with a known id is ignored, for as long as the broker remembers the id.

        Raises:
            OversizedMessageError: The broker does not accept a message of this size.
        """


class Store(Protocol):
    """Records which restarts were carried out."""

    async def save(self, message_id: str, host: str) -> None:
        """Save durably before returning. Saving the same message again changes only its count.

        If cancelled, the message is saved or not, and the store remains usable.

        Raises:
            StorageError: It is unknown whether the message is saved.
            MalformedMessageError: This store can never save this id or host.
        """


class Host(Protocol):
    """A machine that can be restarted. Health checks are separate protocols, see below.

    A host that must be started and ended is an async context manager as well.
    """

    async def restart(self) -> None:
        """Restart, and return once the host is up.

        Raises:
            HostUnavailableError: It did not come up; another attempt may work.
        """


@runtime_checkable
class AwaitedHealth(Protocol):
    """A host whose health check runs on the event loop."""

    async def health(self) -> None:
        """Check the host's health; raise `HostUnavailableError` if it is not healthy."""


@runtime_checkable
class BlockingHealth(Protocol):
    """A host whose health check BLOCKS, and must not run on the event loop's thread."""

    def check_health(self) -> None:
        """Check the host's health; raise `HostUnavailableError` if it is not healthy."""
