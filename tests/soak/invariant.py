"""What must hold at the end of a round, whatever was killed in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.mayhem import backend, brokers, stores
from harness.mayhem.backend import member
from harness.mayhem.ledger import BrokerAudit

# More than any round has.
DEAD_LETTERS = 100_000
SHOWN = 5


@dataclass(frozen=True, slots=True)
class RoundState:
    """What the broker and the store know about one round's messages."""

    audit: BrokerAudit
    saved: Mapping[str, int]  # number of saves, by message id
    dead_lettered: Mapping[str, str]  # the reason, by message id


async def read_state(broker_url: str, store_url: str, prefix: str, *, lease_s: float) -> RoundState:
    """Read the state, as another process. *prefix* begins the ids of the round: a store may be shared.

    Raises:
        StorageError: It cannot be read.
    """
    audit: BrokerAudit = await member(brokers, broker_url, "audit").audit(broker_url)
    saved: dict[str, int] = await member(stores, store_url).times_saved(store_url)
    async with backend.broker(broker_url, lease_s=lease_s) as broker:
        dead = await broker.dead_letters(DEAD_LETTERS)
    return RoundState(
        audit,
        {name: times for name, times in saved.items() if name.startswith(f"{prefix}-")},
        {aside.delivery.message.id: aside.reason for aside in dead},
    )


def violations(state: RoundState, confirmed: Collection[str], *, forgetful: bool = False) -> list[str]:
    """Return each violation as a line.

    Args:
        confirmed: Ids that the broker confirmed to their publisher.
        forgetful: The broker may forget that it delivered a message, so a duplicate save alone is accepted.
    """
    acks, saved, aside = state.audit.acks, state.saved, state.dead_lettered
    unsettled = [name for name in confirmed if name not in acks and name not in aside]
    again = [name for name, times in saved.items() if times > 1 and acks.get(name, 2) < 2]
    found = {
        "lost: published, and neither acked nor dead-lettered": unsettled,
        "acked, but not saved": [name for name in acks if name not in saved],
        "saved twice although delivered once": [] if forgetful else again,
        "dead-lettered without a reason": [name for name, reason in aside.items() if not reason],
        "acked although it cannot be handled": [name for name in acks if name.endswith("poison")],
        "dead-lettered and acked": [name for name in aside if name in acks],
    }
    return lines(found)


def lines(found: Mapping[str, Collection[str]]) -> list[str]:
    """One line per kind of violation, with some of its messages."""
    violated = ((what, sorted(names)) for what, names in found.items() if names)
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}" for what, names in violated]
