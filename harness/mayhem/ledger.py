"""The ledger: what became of every message, from the books of its broker and of the store.

| figure         | counts                                                                                   |
|----------------|------------------------------------------------------------------------------------------|
| published      | messages ever published                                                                  |
| acked          | messages that were handled                                                               |
| dead_lettered  | messages that were laid aside                                                            |
| waiting        | messages yet to be settled, in a consumer's hands or not                                 |
| lost           | messages published that are none of these three: they have vanished                      |
| acked_unsaved  | messages acked without a row in the store: their work is lost though nobody noticed      |
| nacked         | times a message was handed back                                                          |
| redelivered    | times a message was handed out, but for the first time                                   |
| duplicated     | messages that were saved more than once: the work was done again                         |

So ``published == acked + dead_lettered + waiting + lost``, at any moment. How far back the books of a broker
go, docs/brokers.md says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from . import brokers, stores
from .backend import member
from .errors import SettingsError


@dataclass(frozen=True, slots=True)
class BrokerAudit:
    """What a broker can tell of its messages; `audit` of a module in `audits/` gives it."""

    published: int
    acked: int
    acks: Mapping[str, int]  # which delivery was acked, by message; perhaps only the latest
    nacked: int
    redelivered: int
    dead_lettered: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """The figures above."""

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
    """Count; the service may be running meanwhile.

    Raises:
        SettingsError: A URL is wrong, or of something that other processes cannot look into.
        StorageError: The books cannot be read.
    """
    audit: Callable[[str], Awaitable[BrokerAudit]] = member(brokers, broker_url, "audit").audit
    store = member(stores, store_url)
    if not hasattr(store, "times_saved"):
        raise SettingsError(f"{store_url}: has no books that another process can read")
    books = await audit(broker_url)
    # The store after the broker: what was acked until then was saved before.
    times: dict[str, int] = await store.times_saved(store_url)
    settled = books.acked + books.dead_lettered + books.waiting
    # Whoever publishes without counting is found out by what came of it.
    published = max(books.published, settled)
    return Ledger(
        published=published,
        acked=books.acked,
        nacked=books.nacked,
        redelivered=books.redelivered,
        duplicated=sum(count > 1 for count in times.values()),
        lost=published - settled,
        dead_lettered=books.dead_lettered,
        waiting=books.waiting,
        acked_unsaved=len(books.acks.keys() - times.keys()),
    )
