"""What the service needs from the outside: a broker, a store and hosts.

The members are in `brokers/`, `stores/` and `hosts/`. A new member needs no base class, only these methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from .message import DeadLettered, Delivery, Message


class Broker(Protocol):
    """Hands out messages at least once, each under a lease.

    A message that is neither settled (`ack`, `nack`, `dead_letter`) nor extended before its lease ends is
    handed out again. All methods raise `StorageError` when the storage fails; those that take a delivery
    raise `LeaseLostError` when it no longer holds the message, and then change nothing. What each broker
    promises beyond this, and what it cannot, is in docs/brokers.md; `harness.testing.broker` checks it.
    """

    @property
    def system(self) -> str:
        """What the broker is, for spans and log lines: OpenTelemetry's ``messaging.system``."""
        ...

    async def get(self, limit: int) -> Sequence[Delivery]:
        """Wait for messages and take up to *limit*; empty only after `drain`, and then for ever.

        Cancelled, it hands back what it may have taken already.
        """
        ...

    async def ack(self, delivery: Delivery) -> None:
        """The message is done with: it is never handed out again."""
        ...

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        """Hand the message back: it is handed out again after *delay_s*."""
        ...

    async def extend(self, delivery: Delivery) -> None:
        """Let the lease last for its full length from now."""
        ...

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """Lay the message aside for a human: it is never handed out again."""
        ...

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        """The messages that were laid aside, up to *limit*, the oldest first."""
        ...

    async def pending(self) -> int:
        """How many messages are not settled, whether handed out or not."""
        ...

    def drain(self) -> None:
        """Stop handing out. Called from signal handlers, so it neither waits nor fails."""
        ...


class PublishPort(Protocol):
    """Where a publisher puts its messages; a broker of this process is one."""

    @property
    def system(self) -> str: ...

    async def put(self, message: Message) -> None:
        """Publish; a message whose id is known already is ignored, for as long as the broker remembers.

        Raises:
            OversizedMessageError: The broker takes no message of that size.
        """
        ...


class Store(Protocol):
    """Keeps which restart was carried out."""

    async def save(self, message_id: str, host: str) -> None:
        """Save durably before returning. Saving the same message again changes only its count.

        Cancelled, it leaves the message saved or not, and the store as usable as before.

        Raises:
            StorageError: It is not known whether the message is saved.
            MalformedMessageError: This store can never take this id or host.
        """
        ...


class Host(Protocol):
    """A machine that can be restarted. How it is asked whether it is well is a skill of its own, see below.

    A host that has to be started and ended is an async context manager, too.
    """

    async def restart(self) -> None:
        """Restart, and return when the host is up.

        Raises:
            HostUnavailableError: It did not come up; another attempt may work.
        """
        ...


@runtime_checkable
class AwaitedHealth(Protocol):
    """A host that is asked on the event loop."""

    async def health(self) -> None:
        """Ask the host how it is.

        Raises:
            HostUnavailableError: It is not healthy.
        """
        ...


@runtime_checkable
class BlockingHealth(Protocol):
    """A host that is asked through a client library that BLOCKS: not for the event loop's thread."""

    def check_health(self) -> None:
        """Ask the host how it is.

        Raises:
            HostUnavailableError: It is not healthy.
        """
        ...
