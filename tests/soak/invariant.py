"""What the books must say at the end of a round, whatever was killed in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.mayhem import backend, brokers, stores
from harness.mayhem.backend import member
from harness.mayhem.ledger import BrokerAudit

# More than a round has of them.
DEAD_LETTERS = 100_000
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Books:
    """What the broker and the store know of one round's messages."""

    audit: BrokerAudit
    saved: Mapping[str, int]  # how often, by message
    laid_aside: Mapping[str, str]  # the reason, by message


async def read_books(broker_url: str, store_url: str, prefix: str, *, lease_s: float) -> Books:
    """Read them, as another process. *prefix* begins the ids of the round: a store may be shared.

    Raises:
        StorageError: They cannot be read.
    """
    audit: BrokerAudit = await member(brokers, broker_url, "audit").audit(broker_url)
    saved: dict[str, int] = await member(stores, store_url).times_saved(store_url)
    async with backend.broker(broker_url, lease_s=lease_s) as broker:
        dead = await broker.dead_letters(DEAD_LETTERS)
    return Books(
        audit,
        {name: times for name, times in saved.items() if name.startswith(f"{prefix}-")},
        {aside.delivery.message.id: aside.reason for aside in dead},
    )


def complaints(books: Books, confirmed: Collection[str], *, twice_unseen: bool = False) -> list[str]:
    """What must not be, each in one line.

    Args:
        confirmed: The ids that the broker has confirmed to their publisher.
        twice_unseen: The broker may have forgotten that it handed a message out: then a doubled save alone
            is no mistake.
    """
    acks, saved, aside = books.audit.acks, books.saved, books.laid_aside
    unsettled = [name for name in confirmed if name not in acks and name not in aside]
    again = [name for name, times in saved.items() if times > 1 and acks.get(name, 2) < 2]
    found = {
        "lost: published, and neither acked nor laid aside": unsettled,
        "acked, but not saved": [name for name in acks if name not in saved],
        "saved twice, though delivered once": [] if twice_unseen else again,
        "laid aside without a reason": [name for name, reason in aside.items() if not reason],
        "acked, though it cannot be handled": [name for name in acks if name.endswith("poison")],
        "laid aside and acked": [name for name in aside if name in acks],
    }
    return told(found)


def told(found: Mapping[str, Collection[str]]) -> list[str]:
    """One line for each kind of mistake that was found, with some of its messages."""
    lines = ((what, sorted(names)) for what, names in found.items() if names)
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}" for what, names in lines]
