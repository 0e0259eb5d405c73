"""The ledger: what became of every message of a database, counted in one snapshot.

| figure         | counts                                                                                   |
|----------------|------------------------------------------------------------------------------------------|
| published      | messages ever inserted; a trigger notes each id in a table nothing is deleted from       |
| acked          | messages that were handled                                                               |
| dead_lettered  | messages that were laid aside                                                            |
| waiting        | messages yet to be settled, in a consumer's hands or not                                 |
| lost           | messages published that are none of these three: the row is gone, or in no known state   |
| acked_unsaved  | messages acked without a row in the store: their work is lost though nobody noticed      |
| nacked         | times a message was handed back                                                          |
| redelivered    | times a message was handed out, but for the first time                                   |
| duplicated     | messages that were saved more than once: the work was done again                         |

So ``published == acked + dead_lettered + waiting + lost``, at any moment.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .errors import StorageError, StorageUnavailableError

QUERY = """
    SELECT
        (SELECT count(*) FROM published) AS published,
        (SELECT count(*) FROM message WHERE state = 'acked') AS acked,
        (SELECT total(nacks) FROM message) AS nacked,
        (SELECT total(max(deliveries - 1, 0)) FROM message) AS redelivered,
        (SELECT count(*) FROM saved WHERE times > 1) AS duplicated,
        (SELECT count(*) FROM published WHERE id NOT IN
            (SELECT id FROM message WHERE state IN ('waiting', 'acked', 'dead'))) AS lost,
        (SELECT count(*) FROM message WHERE state = 'dead') AS dead_lettered,
        (SELECT count(*) FROM message WHERE state = 'waiting') AS waiting,
        (SELECT count(*) FROM message WHERE state = 'acked'
            AND id NOT IN (SELECT message_id FROM saved)) AS acked_unsaved
"""


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


def read_ledger(path: Path) -> Ledger:
    """Count; the service may be running meanwhile.

    Raises:
        StorageError: There is no database of the service at *path*, or it cannot be read.
    """
    try:
        # "rw" opens what there is and creates nothing; "ro" could not recover what a killed service left.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            row = connection.execute(QUERY).fetchone()
    except sqlite3.OperationalError as exc:
        raise StorageUnavailableError(f"{path}: no ledger to read: {exc}") from exc
    except sqlite3.Error as exc:
        raise StorageError(f"{path}: not a database of this service: {exc}") from exc
    return Ledger(*map(int, row))
