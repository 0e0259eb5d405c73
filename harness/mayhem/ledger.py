"""The ledger: what became of every message, according to its broker and the store.

| figure         | counts                                                                                   |
|----------------|------------------------------------------------------------------------------------------|
| published      | messages ever published                                                                  |
| acked          | messages that were handled                                                               |
| dead_lettered  | messages that were moved to the dead letters                                             |
| waiting        | unsettled messages, in flight or not                                                     |
| lost           | published messages that are none of these three: they have vanished                      |
| acked_unsaved  | acked messages without a row in the store: their work was silently lost                  |
| nacked         | times a message was handed back                                                          |
| redelivered    | times a message was delivered again                                                      |
| duplicated     | messages that were saved more than once: their work was done again                       |

So ``published == acked + dead_lettered + waiting + lost`` at any moment. docs/brokers.md says how far back
each broker remembers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from . import brokers, stores
from .backend import member
from .errors import SettingsError


@dataclass(frozen=True, slots=True)
class BrokerAudit:
    """What a broker knows about its messages; ``brokers/*/audit.py`` counts it."""

    published: int
    acked: int
    acks: Mapping[str, int]  # the delivery that was acked, by message id; perhaps only of recent messages
    nacked: int
    redelivered: int
    dead_lettered: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """The figures in this module's docstring."""

    published: int
    acked: int
    nacked: int
    redelivered: int
    duplicated: int
    lost: int
    dead_lettered: int
    waiting: int
    acked_unsaved: int


async def read_ledger(broker_url: str, store_url: str) -> Ledger:
    """Read the ledger; the service may be running.

    Raises:
        SettingsError: A URL is wrong, or names something that other processes cannot read.
        StorageError: The ledger cannot be read.
    """
    audit: Callable[[str], Awaitable[BrokerAudit]] = member(brokers, broker_url, "audit").audit
    store = member(stores, store_url)
    if not hasattr(store, "times_saved"):
        raise SettingsError(f"{store_url}: has no ledger that another process can read")
    counted = await audit(broker_url)
    # The store is read last: every message that the broker counted as acked was saved before.
    times: dict[str, int] = await store.times_saved(store_url)
    settled = counted.acked + counted.dead_lettered + counted.waiting
    # At least the messages that are settled or waiting: another program may publish without counting.
    published = max(counted.published, settled)
    return Ledger(
        published=published,
        acked=counted.acked,
        nacked=counted.nacked,
        redelivered=counted.redelivered,
        duplicated=sum(count > 1 for count in times.values()),
        lost=published - settled,
        dead_lettered=counted.dead_lettered,
        waiting=counted.waiting,
        acked_unsaved=len(counted.acks.keys() - times.keys()),
    )
