"""The running service: signals, probes, unavailable servers, and process 1 of a container."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mayhem.support.broker_servers import NatsServer, RedisServer, running
from tests.mayhem.support.endpoint import get, port_of
from tests.mayhem.support.otlp_receiver import receiving
from tests.mayhem.support.pid_namespace import FIRST, NOT_PERMITTED, permitted
from tests.mayhem.support.service_process import PATIENCE_S, ended, started, wait_line, wait_until

# A program that patches the service, for example to block the loop when it is told to.
CHANGED = """
import asyncio, runpy, signal, sys, time
import harness.mayhem.operations.health, harness.mayhem.service, harness.mayhem.process.shutdown
harness.mayhem.process.shutdown.LAST_S = 0.3
beat = harness.mayhem.operations.health.Health.beat
async def changed(self):
{change}
    await beat(self)
harness.mayhem.operations.health.Health.beat = changed
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""
# Not by `add_signal_handler`, which would take over the file descriptor that wakes the service at a signal.
HOLD = """
hold = asyncio.get_running_loop().call_soon_threadsafe
signal.signal(signal.SIGUSR2, lambda *_: hold(time.sleep, {hold_s}))
"""


def changed(change: str) -> tuple[str, str]:
    return ("-c", CHANGED.format(change=textwrap.indent(change, "    ")))


def wrong(port: int) -> list[str]:
    return list(json.loads(get(port, "/healthz")[1])["wrong"])


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"the service ended without saying {word!r}: {lines}")


@contextmanager
def read_away(process: subprocess.Popen[str]) -> Iterator[None]:
    """Read the log in a thread, so that the pipe does not fill."""
    assert process.stderr is not None
    reading = threading.Thread(target=process.stderr.read)
    reading.start()
    yield
    reading.join()


# --- while the loop is held ---------------------------------------------------------------------------


@pytest.mark.long
def test_held_loop_is_dumped_and_told_and_goes_on() -> None:
    """SIGQUIT and /healthz work while the loop is blocked; afterwards the service goes on."""
    program = changed(HOLD.format(hold_s=3))
    with started("--broker", "memory:", "--http", "0", program=program) as process:
        port = port_of(process)
        wait_line(process, "consuming")
        assert wrong(port) == []
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: any(reason.startswith("loop held for ") for reason in wrong(port)))
        assert get(port, "/livez")[0] == 503
        process.send_signal(signal.SIGQUIT)
        dump = lines_until(process, "task consumer:")
        assert any(reason.startswith("loop held for ") for reason in wrong(port))
        wait_until(lambda: wrong(port) == [])
        process.send_signal(signal.SIGTERM)

        assert ended(process) == 0
    main = dump[dump.index("thread MainThread:\n") :]
    assert any(re.search(r"asyncio/events.py:\d+ _run$", line) for line in main)
    assert any(" tasks at " in line for line in dump)


@pytest.mark.long
def test_a_loop_that_never_comes_back_does_not_hold_the_exit() -> None:
    """SIGTERM ends the process with a stack dump and status 1."""
    program = changed(HOLD.format(hold_s=3600))
    with started("--broker", "memory:", "--drain-s", "0.2", "--http", "0", program=program) as process:
        port = port_of(process)
        wait_line(process, "consuming")
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: wrong(port))
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert "exit forced: the shutdown takes too long" in rest
    assert "thread MainThread:" in rest


# --- settings while it runs ---------------------------------------------------------------------------


# Restarts of host-0 hang, and the others fail.
HANG_OR_FAIL = """
from harness.mayhem.errors import HostUnavailableError
from harness.mayhem.hosts.simulated import SimulatedHost
async def restart(self):
    if self.name == "host-0":
        await asyncio.Event().wait()
    raise HostUnavailableError("a test")
SimulatedHost.restart = restart
"""


def in_hand(port: int) -> int:
    return int(json.loads(get(port, "/healthz")[1])["in_hand"])


def publish_restarts(db: Path, host: str, count: int) -> None:
    now, body = time.time(), json.dumps({"host": host, "event": "restart"})
    rows = [(f"{host} {number}", body, "{}", now, now) for number in range(count)]
    with closing(sqlite3.connect(db, timeout=PATIENCE_S)) as connection, connection:
        connection.executemany(
            "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)", rows
        )


def test_sighup_changes_what_can_change(tmp_path: Path) -> None:
    """SIGHUP applies live settings to what runs and names the others; an invalid file changes nothing."""
    config, db = tmp_path / "mayhem.toml", tmp_path / "mayhem.db"
    before = "concurrency = 5\nhosts = 3\ncircuit_failures = 1000\ndrain_s = 3600\n"
    after = (
        "concurrency = 7\nhosts = 3\ncircuit_failures = 1\ndrain_s = 0.2\nlog_level = 'debug'\n"
        "[[groups]]\nname = 'spared group'\nhosts = ['host-*']\n"
    )
    config.write_text(before)
    arguments = ("--broker", f"sqlite:{db}", "--config", str(config), "--http", "0")
    with started(*arguments, program=changed(HANG_OR_FAIL)) as process:
        port = port_of(process)
        wait_line(process, "consuming")
        publish_restarts(db, "host-0", 6)
        wait_until(lambda: in_hand(port) == 5)

        config.write_text(after.replace("hosts = 3", "hosts = 4"))
        process.send_signal(signal.SIGHUP)
        told = lines_until(process, "settings read again")
        assert "WARNING harness.mayhem.service settings that need a restart: hosts" in told[-2]
        names = "circuit_failures, concurrency, drain_s, groups, log_level"
        assert told[-1].endswith(f"changed={names}\n")
        assert not any(" DEBUG " in line for line in told)
        # The sixth message that hangs is taken, and one that fails opens its circuit at once.
        wait_until(lambda: in_hand(port) == 6)
        publish_restarts(db, "host-1", 1)
        lines = lines_until(process, "circuit open")
        lines += lines_until(process, "group=spared group")
        assert any(" DEBUG harness.mayhem.operations.endpoint " in line for line in lines)

        config.write_text("concurency = 7\n")
        process.send_signal(signal.SIGHUP)
        refused = lines_until(process, "nothing has changed")[-1]
        assert refused.endswith(f"{config}: concurency: unknown key; did you mean concurrency?\n")
        config.write_text(after)
        process.send_signal(signal.SIGHUP)
        assert lines_until(process, "settings read again")[-1].endswith("changed=nothing\n")

        # The new deadline of the drain: the old one lies beyond the test's patience.
        process.send_signal(signal.SIGTERM)
        missed = lines_until(process, "drain cut short")
        assert ended(process) == 1
    assert any(" not drained in time" in line for line in missed)
    assert any(line.startswith("task message host-0 0") for line in missed)


# --- what nobody handles ------------------------------------------------------------------------------


LOST = """
async def lost():
    raise ValueError("nobody looks")
asyncio.ensure_future(lost())
"""


def test_an_error_that_nobody_handles_is_logged_and_counted_and_the_service_goes_on() -> None:
    """A task that fails unretrieved is in the log, in /healthz and in the summary at the end."""
    with started("--broker", "memory:", "--http", "0", program=changed(LOST)) as process:
        port = port_of(process)
        lines = lines_until(process, "ValueError: nobody looks")
        wait_until(lambda: wrong(port) == [])
        facts = json.loads(get(port, "/healthz")[1])
        process.send_signal(signal.SIGTERM)
        lines += lines_until(process, " failures ")
        assert ended(process) == 0

    assert facts["failures"]["unhandled"] == 1
    assert any("ERROR" in line and "unhandled: Task exception was never retrieved" in line for line in lines)
    assert "unhandled=1 " in lines[-1]
    assert "ValueError at __main__.changed.<locals>.lost:" in lines[-1]


# --- what it needs is away ----------------------------------------------------------------------------


def test_a_port_that_is_taken_ends_it_before_anything_starts(taken: int, tmp_path: Path) -> None:
    """A port in use gives one line and status 2, and nothing is created."""
    db = tmp_path / "mayhem.db"
    with started("--broker", f"sqlite:{db}", "--http", str(taken)) as process:
        _, rest = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 2
    assert rest == f"mayhem: http: 127.0.0.1:{taken}: Address already in use\n"
    assert not db.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_broker_that_is_away_is_waited_for_and_the_wait_can_be_ended(
    signum: signal.Signals, tmp_path: Path
) -> None:
    """Each attempt is logged, /healthz reports the wait, and SIGTERM ends the service cleanly."""
    url = nowhere()
    with started("--broker", url, "--store", "memory:", "--http", "0") as process:
        port = port_of(process)
        wait_line(process, "waiting for the broker")
        assert wrong(port) == ["waiting for the broker"]
        assert (get(port, "/readyz")[0], get(port, "/livez")[0]) == (503, 200)
        assert "mayhem_failures_total" in get(port, "/metrics")[1]
        process.send_signal(signum)

        assert ended(process) == 0


def nowhere() -> str:
    """The URL of a broker on an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


# Reduces the time for which the service waits for a locked file.
IMPATIENT = """
import harness.mayhem.database, runpy
harness.mayhem.database.BUSY_S = 0.1
runpy.run_module("harness.mayhem", run_name="__main__", alter_sys=True)
"""


def test_a_database_that_is_locked_is_waited_for(tmp_path: Path) -> None:
    """Once the file is unlocked, the service starts."""
    db = tmp_path / "mayhem.db"
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (id)")
        other.execute("BEGIN EXCLUSIVE")
        with started("--broker", f"sqlite:{db}", program=("-c", IMPATIENT)) as process:
            wait_line(process, "waiting for the ")
            other.execute("COMMIT")
            wait_line(process, "consuming")
            process.send_signal(signal.SIGTERM)

            assert ended(process) == 0


def test_a_broker_that_refuses_ends_it(tmp_path: Path) -> None:
    """Wrong credentials end the service with status 1 and one line without the password."""
    with running(RedisServer, tmp_path / "redis", "--requirepass", "right") as server:
        with started("--broker", server.url("q", user=":wrong@"), "--store", "memory:") as process:
            _, rest = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert rest.count("\n") == 1
    assert f" stopped by an error: redis://127.0.0.1:{server.port}" in rest
    assert "wrong@" not in rest


@pytest.mark.long
def test_a_broker_that_goes_and_comes_back(tmp_path: Path) -> None:
    """/healthz reports the broker while it is unavailable, and recovers afterwards."""
    with running(NatsServer, tmp_path / "nats") as server:
        load = ("--events", "100000", "--rate-per-s", "50")
        with started("--broker", server.url("q"), "--store", "memory:", "--http", "0", *load) as process:
            port = port_of(process)
            wait_line(process, "consuming")
            wait_until(lambda: wrong(port) == [])
            server.kill()
            with read_away(process):
                wait_until(lambda: any(reason.startswith("broker silent for ") for reason in wrong(port)))
                server.start()
                wait_until(lambda: wrong(port) == [])
                process.send_signal(signal.SIGTERM)

                assert process.wait(PATIENCE_S) == 0


def test_a_broker_that_is_gone_does_not_hold_the_drain(tmp_path: Path) -> None:
    """SIGTERM during the broker's outage ends the service within its deadline."""
    with running(NatsServer, tmp_path / "nats") as server:
        with started("--broker", server.url("q"), "--store", "memory:", "--drain-s", "30") as process:
            wait_line(process, "consuming")
            server.kill()
            wait_line(process, "broker unavailable")
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            process.communicate(timeout=PATIENCE_S)
            server.start()

    assert process.returncode == 0
    assert time.monotonic() - began < 20


# --- process 1 ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not permitted(), reason=NOT_PERMITTED)
@pytest.mark.parametrize("when", ["waiting", "consuming"])
def test_as_process_1_it_drains(when: str) -> None:
    """As process 1, the service receives SIGTERM, during startup and later."""
    url = nowhere() if when == "waiting" else "memory:"
    with started("--broker", url, "--store", "memory:", before=FIRST) as process:
        wait_line(process, when)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            os.kill(int(children.read()), signal.SIGTERM)

        assert ended(process) == 0


# --- the whole, observed ------------------------------------------------------------------------------


def test_every_message_is_traced_to_its_end() -> None:
    """Each message is one complete trace at the collector, including the last ones."""
    with receiving() as received:
        with started(
            *("--broker", "memory:", "--events", "200", "--rate-per-s", "400"),
            OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
        ) as process:
            assert ended(process) == 0

    traces: dict[Any, Any] = {}
    for span in received.spans:
        traces.setdefault(span.trace_id, []).append(span.name)
    assert len(traces) == 200
    for names in traces.values():
        assert {"publish restart", "process restart", "restart host", "save", "ack"} <= {*names}


METRICS = {
    "mayhem_circuit_state",
    "mayhem_loop_busy",
    "mayhem_loop_lag_seconds_count",
    "mayhem_messages_in_hand",
    "mayhem_settled_messages_total",
    "mayhem_tasks",
    "mayhem_threads_waiting",
    "messaging_client_consumed_messages_total",
    "messaging_client_operation_duration_seconds_count",
    "messaging_process_duration_seconds_count",
    "process_cpu_seconds_total",
}


def test_metrics_tell_of_messages_loop_and_threads() -> None:
    """The metrics cover messages, the loop, the threads and the process."""
    load = ("--events", "100000", "--rate-per-s", "200")
    with started("--broker", "memory:", "--http", "0", *load) as process:
        port = port_of(process)
        wait_until(lambda: {line.partition("{")[0].split()[0] for line in lines_of(port)} >= METRICS)
        process.send_signal(signal.SIGTERM)

        assert ended(process) == 0


def lines_of(port: int) -> list[str]:
    return [line for line in get(port, "/metrics")[1].splitlines() if not line.startswith("#")]
