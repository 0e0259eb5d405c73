"""The service as a real process: drained, killed and started again without losing a message."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem.ledger import Ledger, read_ledger
from tests.mayhem.support.service_process import PATIENCE_S, ended, run, serving, wait_line, wait_until

# Some 200 messages per second, so that the load lasts until the test acts.
SLOWLY = ("--concurrency", "5")
# Programs that patch the service by name and then run it.
HANGING_RESTART = """
import asyncio, runpy, sys
from harness.mayhem.hosts.simulated import SimulatedHost
async def restart(self): await asyncio.Event().wait()
SimulatedHost.restart = restart
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""
HANGING_THREAD = """
import runpy, sys, threading
from harness.mayhem.hosts.sdk import SdkHost
def check_health(self):
    print("hanging", file=sys.stderr, flush=True)
    threading.Event().wait()
SdkHost.check_health = check_health
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""
NO_EXPORTER = """
import runpy, sys
sys.modules["opentelemetry.exporter"] = None
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""


def ledger_of(db: Path) -> Ledger:
    """The ledger of a database that is broker and store."""
    url = f"sqlite:{db}"
    return asyncio.run(read_ledger(url, url))


def fill(db: Path, count: int) -> None:
    """Publish as another process does."""
    now = time.time()
    body = '{"host": "host-%d", "event": "restart"}'
    rows = [(str(uuid.uuid4()), body % (n % 100), "{}", now, now) for n in range(count)]
    with closing(sqlite3.connect(db, timeout=PATIENCE_S)) as connection, connection:
        connection.executemany(
            "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)", rows
        )


def one(db: Path, query: str) -> float:
    with closing(sqlite3.connect(db, timeout=PATIENCE_S)) as connection:
        return float(connection.execute(query).fetchone()[0])


def finish(db: Path, *arguments: str) -> None:
    """Start the service again to handle the rest."""
    with serving(f"sqlite:{db}", *arguments) as process:
        wait_until(lambda: ledger_of(db).waiting == 0)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == 0


def test_sigterm_under_load_drains_and_a_new_start_finishes(tmp_path: Path) -> None:
    """A drained service leaves no message leased, unsaved or lost; the next one handles the rest."""
    db = tmp_path / "mayhem.db"
    with serving(f"sqlite:{db}", *SLOWLY) as process:
        fill(db, 600)
        wait_until(lambda: ledger_of(db).acked >= 60)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == 0
    drained = ledger_of(db)
    assert (drained.published, drained.acked + drained.waiting) == (600, 600)
    assert drained.waiting > 0
    assert (drained.lost, drained.acked_unsaved, drained.nacked) == (0, 0, 0)
    assert one(db, "SELECT count(*) FROM message WHERE leased > 0") == 0
    finish(db)

    done = run("ledger", "--broker", f"sqlite:{db}")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "published": 600,
        "acked": 600,
        "nacked": 0,
        "redelivered": 0,
        "duplicated": 0,
        "lost": 0,
        "dead_lettered": 0,
        "waiting": 0,
        "acked_unsaved": 0,
    }


def test_kill_under_load_loses_nothing(tmp_path: Path) -> None:
    """The messages of a killed service are delivered again when their leases end, and all are saved."""
    db = tmp_path / "mayhem.db"
    with serving(f"sqlite:{db}", "--lease-s", "1", *SLOWLY) as process:
        fill(db, 600)
        wait_until(lambda: ledger_of(db).acked >= 60)
        process.kill()
        process.wait(PATIENCE_S)
    killed = ledger_of(db)
    assert (killed.lost, killed.acked_unsaved) == (0, 0)
    assert killed.waiting > 0
    finish(db, "--lease-s", "1")

    done = ledger_of(db)
    assert (done.published, done.acked, done.waiting, done.dead_lettered) == (600, 600, 0, 0)
    assert (done.lost, done.acked_unsaved) == (0, 0)
    assert done.redelivered > 0
    assert one(db, "SELECT count(*) FROM saved") == 600


@pytest.mark.parametrize("by", ["second signal", "deadline"])
def test_cut_short_drain_hands_everything_back(by: str, tmp_path: Path) -> None:
    """When the drain is cut short, messages are handed back at once, and the exit status is 1."""
    db = tmp_path / "mayhem.db"
    drain_s = "0.1" if by == "deadline" else str(PATIENCE_S * 2)
    with serving(f"sqlite:{db}", "--drain-s", drain_s, program=("-c", HANGING_RESTART)) as process:
        fill(db, 5)
        wait_until(lambda: one(db, "SELECT count(*) FROM saved") == 5)
        process.send_signal(signal.SIGTERM)
        wait_line(process, "draining")
        if by == "second signal":
            process.send_signal(signal.SIGTERM)
        assert ended(process) == 1

    cut = ledger_of(db)
    assert (cut.waiting, cut.nacked, cut.acked, cut.lost) == (5, 5, 0, 0)
    assert one(db, "SELECT max(visible_at) FROM message") <= time.time()


@pytest.mark.long
def test_hanging_thread_does_not_hold_the_exit(tmp_path: Path) -> None:
    """A thread that never returns is left behind, and its name is reported."""
    db = tmp_path / "mayhem.db"
    with serving(
        f"sqlite:{db}", "--drain-s", "0.1", "--hosts", "1", program=("-c", HANGING_THREAD)
    ) as process:
        fill(db, 1)
        wait_line(process, "hanging")
        wait_until(lambda: one(db, "SELECT count(*) FROM saved") == 1)
        process.send_signal(signal.SIGTERM)
        wait_line(process, "left behind, still in a blocking call: mayhem-blocking_")
        assert ended(process) == 1

    assert (ledger_of(db).waiting, ledger_of(db).nacked) == (1, 1)


@pytest.mark.long
def test_demonstration_ends_by_itself(tmp_path: Path) -> None:
    """With the built-in publisher, the service ends once its events are settled."""
    db = tmp_path / "mayhem.db"
    for target in ("memory:", f"sqlite:{db}"):
        shown = run("--broker", target, MAYHEM_EVENTS="20", MAYHEM_RATE_PER_S="200")
        assert shown.returncode == 0, shown.stderr
        assert "consuming" in shown.stderr
        assert shown.stdout == ""

    assert (ledger_of(db).acked, ledger_of(db).published) == (20, 20)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--concurrency", "0"], {}, "--concurrency: input should be greater than or equal to 1, got '0'"),
        (
            ["serve"],
            {"MAYHEM_SEED": "x"},
            "MAYHEM_SEED: input should be a valid integer, unable to parse string as an integer, got 'x'",
        ),
        (["--concurency=1"], {}, "unrecognized arguments: --concurency=1; did you mean --concurrency?"),
        (["check", "--http=x"], {}, "--http: expected PORT or HOST:PORT, got 'x'"),
    ],
)
def test_bad_usage_is_one_clear_error(
    arguments: list[str], environment: dict[str, Any], expected: str
) -> None:
    """A usage error gives one line and status 2, and nothing is started."""
    wrong = run(*arguments, **environment)

    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", f"mayhem: {expected}\n")


def test_check_shows_the_settings_in_force_without_passwords() -> None:
    """`check` prints the settings as JSON, including derived ones."""
    shown = run("check", "--broker", "nats://me:secret@127.0.0.1:1", MAYHEM_HOSTS="3")
    settings = json.loads(shown.stdout)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert (settings["broker"], settings["store"]) == ("nats://...@127.0.0.1:1", "sqlite:mayhem.db")
    assert (settings["hosts"], settings["concurrency"]) == (3, 50)


def test_missing_database_is_one_clear_error(tmp_path: Path) -> None:
    """A missing path gives no traceback."""
    for command in ("serve", "ledger"):
        nowhere = run(command, "--broker", f"sqlite:{tmp_path}/nowhere/a.db")
        assert nowhere.returncode == 1
        assert f": {tmp_path}/nowhere/a.db: cannot be " in nowhere.stderr
        assert nowhere.stderr.count("\n") == 1


def test_missing_exporter_is_one_clear_error() -> None:
    """An OTLP endpoint without the exporter is an error that names the extra."""
    shown = run(
        *("--broker", "memory:"),
        program=("-c", NO_EXPORTER),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )

    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == (
        "mayhem: OTEL_TRACES_EXPORTER: no exporter 'otlp' is installed; pip install 'asyncio-harness[otlp]'\n"
    )
