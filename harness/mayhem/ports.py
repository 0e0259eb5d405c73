"""What the service needs from the outside: a broker, a store and hosts.

The members are in `brokers/`, `stores/` and `hosts/`. A new member needs no base class, only these methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .message import Delivery, Message


class Broker(Protocol):
    """Hands out messages at least once, each under a lease.

    A message that is neither settled (`ack`, `nack`, `dead_letter`) nor extended before its lease ends is
    handed out again. All methods raise `StorageError` when the storage fails; those that take a delivery
    raise `LeaseLostError` when it no longer holds the message, and then change nothing.
    """

    @property
    def system(self) -> str:
        """What the broker is, for spans and log lines: OpenTelemetry's ``messaging.system``."""
        ...

    async def get(self, limit: int) -> Sequence[Delivery]:
        """Wait for messages and take up to *limit*; empty only after `drain`, and then for ever."""
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

    async def pending(self) -> int:
        """How many messages are not settled, whether handed out or not."""
        ...

    def drain(self) -> None:
        """Stop handing out. Called from signal handlers, so it neither waits nor fails."""
        ...


class Outlet(Protocol):
    """Where a publisher puts its messages; a broker of this process is one."""

    @property
    def system(self) -> str: ...

    async def put(self, message: Message) -> None:
        """Publish; a message whose id is known already is ignored."""
        ...


class Store(Protocol):
    """Keeps which restart was carried out."""

    async def save(self, message_id: str, host: str) -> None:
        """Save durably before returning. Saving the same message again changes only its count.

        Raises:
            StorageError: It is not known whether the message is saved.
        """
        ...


class Host(Protocol):
    """A machine that can be restarted."""

    async def restart(self) -> None:
        """Restart, and return when the host is up.

        Raises:
            HostUnavailableError: It did not come up; another attempt may work.
        """
        ...

    def check_health(self) -> None:
        """Ask the host how it is, through a client library that BLOCKS: not for the event loop's thread.

        Raises:
            HostUnavailableError: It is not healthy.
        """
        ...
