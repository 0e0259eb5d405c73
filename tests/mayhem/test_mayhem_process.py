"""The service as a real process: ready, drained, killed, started again; nothing is lost on the way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager

import pytest

from harness.mayhem.ledger import read_ledger

# Of a process, for anything it is asked to do.
PATIENCE_S = 60
SERVICE = ("-m", "harness.mayhem")
# Some 200 messages per second: what is to happen under load does not come too late for it.
SLOWLY = ("--concurrency", "5")
# Runs the service in a program that has changed it from outside, by name.
HANGING_RESTART = """
import asyncio, runpy, sys
from harness.mayhem.hosts.simulated import SimulatedHost
async def restart(self): await asyncio.Event().wait()
SimulatedHost.restart = restart
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""
HANGING_THREAD = """
import runpy, sys, threading
from harness.mayhem.hosts.simulated import SimulatedHost
def check_health(self):
    print("hanging", file=sys.stderr, flush=True)
    threading.Event().wait()
SimulatedHost.check_health = check_health
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""
NO_EXPORTER = """
import runpy, sys
sys.modules["opentelemetry.exporter"] = None
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""


def run(*arguments, program=SERVICE, **environment):
    """The service or one of its commands, from start to end."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@contextmanager
def serving(db, *arguments, program=SERVICE):
    """The service in debug mode, ready; killed if the test leaves it running."""
    command = [sys.executable, *program, "serve", "--debug", "--db", str(db), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_line(process, "consuming")
            yield process
        finally:
            process.kill()


def wait_line(process, word):
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"the service ended without saying {word!r}")


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(process):
    """The exit status of a process that ends without a complaint."""
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert "never awaited" not in rest
    assert "Traceback" not in rest
    return process.returncode


def fill(db, count):
    """Publish as another process does."""
    now = time.time()
    body = '{"host": "host-%d", "event": "restart"}'
    rows = [(str(uuid.uuid4()), body % (n % 100), "{}", now, now) for n in range(count)]
    with closing(sqlite3.connect(db, timeout=PATIENCE_S)) as connection, connection:
        connection.executemany(
            "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)", rows
        )


def one(db, query):
    with closing(sqlite3.connect(db, timeout=PATIENCE_S)) as connection:
        return connection.execute(query).fetchone()[0]


def finish(db, *arguments):
    """Start again and let the service handle what is left."""
    with serving(db, *arguments) as process:
        wait_until(lambda: read_ledger(db).waiting == 0)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == 0


def test_sigterm_under_load_drains_and_a_new_start_finishes(tmp_path):
    """A drained service leaves nothing leased, unsaved or lost; the next one handles exactly the rest."""
    db = tmp_path / "mayhem.db"
    with serving(db, *SLOWLY) as process:
        fill(db, 600)
        wait_until(lambda: read_ledger(db).acked >= 60)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == 0
    drained = read_ledger(db)
    assert (drained.published, drained.acked + drained.waiting) == (600, 600)
    assert drained.waiting > 0
    assert (drained.lost, drained.acked_unsaved, drained.nacked) == (0, 0, 0)
    assert one(db, "SELECT count(*) FROM message WHERE leased > 0") == 0
    finish(db)

    done = run("ledger", "--db", str(db))
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


def test_kill_under_load_loses_nothing(tmp_path):
    """What a killed service had in hand comes again when its leases end, and every message is saved."""
    db = tmp_path / "mayhem.db"
    with serving(db, "--lease-s", "1", *SLOWLY) as process:
        fill(db, 600)
        wait_until(lambda: read_ledger(db).acked >= 60)
        process.kill()
        process.wait(PATIENCE_S)
    killed = read_ledger(db)
    assert (killed.lost, killed.acked_unsaved) == (0, 0)
    assert killed.waiting > 0
    finish(db, "--lease-s", "1")

    done = read_ledger(db)
    assert (done.published, done.acked, done.waiting, done.dead_lettered) == (600, 600, 0, 0)
    assert (done.lost, done.acked_unsaved) == (0, 0)
    assert done.redelivered > 0
    assert one(db, "SELECT count(*) FROM saved") == 600


@pytest.mark.parametrize("by", ["second signal", "deadline"])
def test_cut_short_drain_hands_everything_back(by, tmp_path):
    """Work that does not end is cancelled and handed back at once, and the exit status says so."""
    db = tmp_path / "mayhem.db"
    drain_s = "0.1" if by == "deadline" else str(PATIENCE_S * 2)
    with serving(db, "--drain-s", drain_s, program=("-c", HANGING_RESTART)) as process:
        fill(db, 5)
        wait_until(lambda: one(db, "SELECT count(*) FROM saved") == 5)
        process.send_signal(signal.SIGTERM)
        wait_line(process, "draining")
        if by == "second signal":
            process.send_signal(signal.SIGTERM)
        assert ended(process) == 1

    cut = read_ledger(db)
    assert (cut.waiting, cut.nacked, cut.acked, cut.lost) == (5, 5, 0, 0)
    assert one(db, "SELECT max(visible_at) FROM message") <= time.time()


def test_hanging_thread_does_not_hold_the_exit(tmp_path):
    """A client library that never returns is left behind, by name."""
    db = tmp_path / "mayhem.db"
    with serving(db, "--drain-s", "0.1", program=("-c", HANGING_THREAD)) as process:
        fill(db, 1)
        wait_line(process, "hanging")
        wait_until(lambda: one(db, "SELECT count(*) FROM saved") == 1)
        process.send_signal(signal.SIGTERM)
        wait_line(process, "left behind, still in a blocking call: mayhem-blocking_0")
        assert ended(process) == 1

    assert (read_ledger(db).waiting, read_ledger(db).nacked) == (1, 1)


def test_demonstration_ends_by_itself(tmp_path):
    """With a publisher of its own, the service ends once its events are settled."""
    db = tmp_path / "mayhem.db"
    for target in (("--memory",), ("--db", str(db))):
        shown = run(*target, MAYHEM_EVENTS="20", MAYHEM_RATE="200")
        assert shown.returncode == 0, shown.stderr
        assert "consuming" in shown.stderr
        assert shown.stdout == ""

    assert (read_ledger(db).acked, read_ledger(db).published) == (20, 20)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--concurrency", "0"], {}, "mayhem: --concurrency must be a whole number >= 1, got '0'\n"),
        (["serve"], {"MAYHEM_RATE": "x"}, "mayhem: MAYHEM_RATE must be a finite number > 0, got 'x'\n"),
        (["--no-such"], {}, "mayhem: error: unrecognized arguments: --no-such\n"),
    ],
)
def test_bad_usage_is_one_clear_error(arguments, environment, expected):
    """Nothing is started, the last line says what is wrong, and the status is 2."""
    wrong = run(*arguments, **environment)

    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith(expected)
    assert "Traceback" not in wrong.stderr


def test_missing_database_is_one_clear_error(tmp_path):
    """Neither command shows a traceback for a path that leads nowhere."""
    for command in ("serve", "ledger"):
        nowhere = run(command, "--db", str(tmp_path / "nowhere" / "a.db"))
        assert nowhere.returncode == 1
        assert nowhere.stderr.startswith(f"mayhem: {tmp_path}/nowhere/a.db: ")
        assert nowhere.stderr.count("\n") == 1


def test_missing_exporter_is_one_warning():
    """An endpoint without an exporter costs a warning, not the service."""
    shown = run(
        *("--memory", "--events", "1", "--rate", "100"),
        program=("-c", NO_EXPORTER),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )
    assert shown.returncode == 0
    assert shown.stderr.count("spans not exported") == 1
