"""The SQLite sender against a real database, with a stand-in for the service that settles its messages."""

from __future__ import annotations

import json
import math
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from harness.drive.load.driver_config import DriverConfig
from harness.record.event import Completed, Event, LoadEnded, Sent, SpanEnded
from tests.support.commanded import wait
from tests.support.driven import driven
from tests.support.process import Piped
from tests.support.recorded import of_kind, recorded

DRIVER = "harness.drive.load.driver"
TABLE = """
CREATE TABLE message (
    id TEXT PRIMARY KEY, body TEXT NOT NULL, headers TEXT NOT NULL,
    published_at REAL NOT NULL, visible_at REAL NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'waiting',
    settled_at REAL, reason TEXT
);
CREATE INDEX settled ON message (settled_at);
PRAGMA journal_mode = WAL;
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A broker's database with its table and no service."""
    path = tmp_path / "mayhem.db"
    with closing(connected(path)) as connection:
        connection.executescript(TABLE)
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """The folder of the record."""
    folder = tmp_path / "events"
    folder.mkdir()
    return folder


def connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def order(
    database: Path,
    events: Path,
    *,
    rate_per_s: float,
    duration_s: float,
    drain_s: float = 5.0,
    arrival: str = "constant",
) -> DriverConfig:
    return DriverConfig(
        events=str(events),
        start_at_ns=time.monotonic_ns() + 200_000_000,
        sender="sqlite",
        parameters={"database": str(database), "hosts": 3},
        arrival=arrival,
        plan=((duration_s, rate_per_s, rate_per_s),),
        duration_s=duration_s,
        seed=1,
        drain_s=drain_s,
    )


async def carry_out(
    asked: DriverConfig, events: Path, *, service: Callable[[], None] | None = None
) -> list[Event]:
    """Drive in this process, with a *service* in a thread; gives the record."""
    thread = threading.Thread(target=service or (lambda: None))
    thread.start()
    record = await driven(asked, events)
    thread.join()
    return record


def rows(connection: sqlite3.Connection, *, at_least: int) -> list[str]:
    """The ids of the waiting messages in the order of sending, once there are so many."""
    deadline_s = time.monotonic() + 10
    while True:
        ids = [
            row[0]
            for row in connection.execute("SELECT id FROM message WHERE state = 'waiting' ORDER BY rowid")
        ]
        if len(ids) >= at_least:
            return ids
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def settle(
    connection: sqlite3.Connection,
    ids: Iterable[str],
    *,
    at_s: float,
    state: str = "acked",
    reason: str | None = None,
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "UPDATE message SET state = ?, settled_at = ?, reason = ? WHERE id = ?",
        [(state, at_s, reason, message_id) for message_id in ids],
    )
    connection.execute("COMMIT")


async def test_completions_are_neither_lost_nor_doubled(database: Path, events: Path) -> None:
    """With a service that settles in bursts, each message completes exactly once, when its row says."""
    settled_s: dict[int, float] = {}

    def service() -> None:
        with closing(connected(database)) as connection:
            while len(settled_s) < 400:
                waiting = rows(connection, at_least=1)
                now_s = time.time()
                settle(connection, waiting, at_s=now_s)
                settled_s.update((int(message_id.split("-")[0]), now_s) for message_id in waiting)
        owners.update(thread.name for thread in threading.enumerate() if thread.name.startswith("sqlite"))

    owners: set[str] = set()
    asked = order(database, events, rate_per_s=400, duration_s=1)
    record = await carry_out(asked, events, service=service)
    completed = of_kind(record, Completed)
    offset_s = time.time() - time.monotonic()

    assert [sent.n for sent in of_kind(record, Sent)] == list(range(400))
    assert sorted(c.n for c in completed) == list(range(400))
    assert all(c.ok for c in completed)
    assert all(abs(c.done_ns / 1e9 + offset_s - settled_s[c.n]) < 0.01 for c in completed)
    assert [over.offered for over in of_kind(record, LoadEnded)] == [400]
    assert owners == {"sqlite_0"}  # a transaction of one thread is never read by another


@pytest.mark.long
def test_a_driver_that_was_stopped_sent_late(database: Path, events: Path) -> None:
    """A message is sent at or after its due time; those due while the driver did not run are late."""
    asked = order(database, events, rate_per_s=100, duration_s=2, drain_s=0)
    with Piped([sys.executable, "-m", DRIVER], stdin=subprocess.PIPE, text=True) as driver:
        driver.stdin.write(asked.to_json())
        driver.stdin.close()
        wait(lambda: recorded(events, Sent))
        driver.send_signal(signal.SIGSTOP)
        stopped_ns = time.monotonic_ns()
        time.sleep(0.3)  # for so long the driver cannot send
        started_ns = time.monotonic_ns()
        driver.send_signal(signal.SIGCONT)
        assert driver.wait(20) == 0
    sent = recorded(events, Sent)
    in_the_stop = [one for one in sent if stopped_ns < one.intended_ns < started_ns]

    assert all(one.sent_ns >= one.intended_ns for one in sent)
    assert len(in_the_stop) >= 20
    assert all(one.sent_ns >= started_ns for one in in_the_stop)


async def test_rows_of_one_instant_in_two_transactions_are_all_seen(database: Path, events: Path) -> None:
    """Messages that settled at the same time complete, though some rows show up after others were read."""

    def service() -> None:
        with closing(connected(database)) as connection:
            ids = rows(connection, at_least=20)
            now_s = time.time()
            settle(connection, ids[:10], at_s=now_s)
            time.sleep(0.1)  # some looks of the sender later ...
            settle(connection, ids[10:], at_s=now_s)

    record = await carry_out(order(database, events, rate_per_s=200, duration_s=0.1), events, service=service)

    assert sorted(c.n for c in of_kind(record, Completed)) == list(range(20))


def settled_out_of_order(database: Path, settled_s: list[float]) -> None:
    """A service that settles the first of twenty messages before the others, and shows it after them."""
    with closing(connected(database)) as connection:
        first, *rest = rows(connection, at_least=20)
        settled_s.append(time.time())
        time.sleep(0.4)  # more than a look reaches back
        settle(connection, rest, at_s=time.time())
        time.sleep(0.1)
        settle(connection, [first], at_s=settled_s[0])


async def test_a_row_that_shows_up_late_is_found(database: Path, events: Path) -> None:
    """A message that settled long before the newest row was seen completes while the driver still waits."""
    settled_s: list[float] = []
    asked = order(database, events, rate_per_s=200, duration_s=0.1, drain_s=40)
    began_s = time.monotonic()
    record = await carry_out(asked, events, service=lambda: settled_out_of_order(database, settled_s))
    done_ns = {c.n: c.done_ns for c in of_kind(record, Completed)}

    assert time.monotonic() - began_s < 30
    assert sorted(done_ns) == list(range(20))
    assert done_ns[0] < min(done_ns[n] for n in range(1, 20)) - 300e6


@pytest.mark.long
async def test_a_row_that_shows_up_at_the_very_end_is_found(
    database: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's last look goes back to the oldest message, so that none is missed between two sweeps."""
    monkeypatch.setattr("harness.drive.load.senders.sqlite.SWEEP_EVERY_S", math.inf)
    asked = order(database, events, rate_per_s=200, duration_s=0.1, drain_s=2)
    record = await carry_out(asked, events, service=lambda: settled_out_of_order(database, []))

    assert sorted(c.n for c in of_kind(record, Completed)) == list(range(20))


async def test_a_dead_letter_is_a_failure_with_its_reason(database: Path, events: Path) -> None:
    """A message that the service gave up completes as failed."""

    def service() -> None:
        with closing(connected(database)) as connection:
            settle(
                connection,
                rows(connection, at_least=1),
                at_s=time.time(),
                state="dead",
                reason="no such host",
            )

    record = await carry_out(order(database, events, rate_per_s=10, duration_s=0.1), events, service=service)
    [completed] = of_kind(record, Completed)

    assert (completed.ok, completed.error) == (False, "dead: no such host")


async def test_a_message_carries_the_trace_of_its_publish_span(database: Path, events: Path) -> None:
    """A row holds what the service needs: the host, the event, the times and the publish span's id."""
    record = await carry_out(order(database, events, rate_per_s=10, duration_s=0.4, drain_s=0), events)
    with closing(connected(database)) as connection:
        stored = connection.execute(
            "SELECT body, headers, published_at, visible_at, state FROM message ORDER BY rowid"
        ).fetchall()
    spans = of_kind(record, SpanEnded)

    assert [json.loads(row[0]) for row in stored] == [
        {"host": f"host-{n}", "event": "restart"} for n in (0, 1, 2, 0)
    ]
    assert [json.loads(row[1]) for row in stored] == [
        {"traceparent": f"00-{s.trace_id}-{s.span_id}-01"} for s in spans
    ]
    assert all(abs(row[2] - time.time()) < 30 and row[2] == row[3] for row in stored)
    assert {row[4] for row in stored} == {"waiting"}
    assert {(s.name, s.kind, s.parent_id, s.status) for s in spans} == {
        ("publish restart", "producer", "", "unset")
    }
    assert [s.trace_id for s in spans] == [s.trace_id for s in of_kind(record, Sent)]


async def test_requests_beyond_the_limit_fail_at_once(
    database: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many requests under way as may be, the next ones are not sent, and say why."""
    monkeypatch.setattr("harness.drive.load.in_flight.MOST", 3)
    record = await carry_out(order(database, events, rate_per_s=50, duration_s=0.2, drain_s=0), events)

    assert [sent.n for sent in of_kind(record, Sent)] == [0, 1, 2]
    assert [(c.n, c.ok, c.error) for c in of_kind(record, Completed)] == [
        (n, False, "in-flight limit") for n in range(3, 10)
    ]
    assert [over.offered for over in of_kind(record, LoadEnded)] == [10]


async def test_an_insert_that_fails_is_a_failed_request(database: Path, events: Path) -> None:
    """A message that the database does not take fails with the database's error; the load goes on."""
    with closing(connected(database)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    record = await carry_out(order(database, events, rate_per_s=10, duration_s=0.2), events)

    assert [(c.n, c.ok, c.error) for c in of_kind(record, Completed)] == [
        (n, False, "IntegrityError: no room") for n in (0, 1)
    ]
    assert {span.status for span in of_kind(record, SpanEnded)} == {"error"}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "unable to open database file"),
        (lambda path: connected(path).close(), "no such table: message"),
        (lambda path: path.write_text("not a database " * 100), "file is not a database"),
    ],
)
def test_without_a_broker_the_driver_does_not_start(
    tmp_path: Path, events: Path, make: Callable[[Path], object], why: str
) -> None:
    """A database that is missing, empty or none at all ends the driver with status 4 and one line."""
    path = tmp_path / "other.db"
    make(path)
    ended = subprocess.run(
        [sys.executable, "-m", "harness.drive.load.driver"],
        input=order(path, events, rate_per_s=1, duration_s=1).to_json(),
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (4, f"load driver: {path}: not a broker's database: {why}\n")


async def test_a_broker_that_vanishes_ends_the_load_with_its_name(database: Path, events: Path) -> None:
    """When the table is gone in the middle of the load, the driver says so instead of waiting for ever."""

    def service() -> None:
        with closing(connected(database)) as connection:
            rows(connection, at_least=1)
            connection.execute("DROP TABLE message")

    with pytest.raises(ExceptionGroup) as caught:
        await carry_out(order(database, events, rate_per_s=10, duration_s=30), events, service=service)

    assert [str(exc) for exc in caught.value.exceptions] == [
        "the broker's messages can no longer be read: no such table: message"
    ]
