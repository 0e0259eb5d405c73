"""The endpoint reports what is wrong, even while the loop is blocked; metrics are Prometheus text."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import SettingsError, StorageUnavailableError
from harness.mayhem.operations import health as health_module
from harness.mayhem.operations.endpoint import serve_http
from harness.mayhem.operations.health import ANSWER_S, HELD_S, SILENT_S, Health
from harness.mayhem.operations.listen_address import ListenAddress, parse_listen_address
from tests.mayhem.support.endpoint import get

PATIENCE_S = 20
LOOPBACK = ListenAddress("127.0.0.1", 0)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class AskedBroker(MemoryBroker):
    """Returns the entries of *script* in turn, and then the last one forever."""

    def __init__(self, *script: StorageUnavailableError | int) -> None:
        super().__init__(lease_s=30)
        self.script = list(script)
        self.asked: asyncio.Queue[Any] = asyncio.Queue()

    async def pending(self) -> int:
        self.asked.put_nowait(None)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def answered(health: Health) -> Iterator[Callable[..., Any]]:
    views = {"/healthz": health.whole, "/readyz": health.ready, "/livez": health.alive}
    with serve_http(LOOPBACK, views) as port:
        yield lambda path: get(port, path)


@pytest.fixture
def clock() -> Clock:
    """Moved by hand."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """The health of a service that consumes."""
    found = Health(clock=clock)
    found.phase = "consuming"
    return found


def test_all_is_well(health: Health) -> None:
    """200, and the facts as JSON."""
    health.circuits = lambda: {"store": "closed"}
    health.facts = lambda: {"in_hand": 3}
    with answered(health) as ask:
        status, body = ask("/healthz")

        assert (status, json.loads(body)) == (
            200,
            {
                "status": "ok",
                "wrong": [],
                "phase": "consuming",
                "pending": None,
                "circuits": {"store": "closed"},
                "in_hand": 3,
            },
        )
        assert (ask("/readyz")[0], ask("/livez")[0]) == (200, 200)


@pytest.mark.parametrize(
    ("spoil", "wrong", "ready", "alive"),
    [
        (lambda h: setattr(h, "phase", "draining"), "draining", 503, 200),
        (lambda h: setattr(h, "phase", "waiting for the broker"), "waiting for the broker", 503, 200),
        (lambda h: setattr(h, "circuits", lambda: {"store": "open"}), "circuit of store open", 200, 200),
        (lambda h: setattr(h, "circuits", lambda: {"a": "half-open"}), "circuit of a half-open", 200, 200),
    ],
)
def test_what_is_wrong_is_named(
    health: Health, spoil: Callable[..., Any], wrong: str, ready: int, alive: int
) -> None:
    """503 comes with the reason; liveness and readiness are judged separately."""
    spoil(health)
    with answered(health) as ask:
        status, body = ask("/healthz")

        assert (status, json.loads(body)["wrong"]) == (503, [wrong])
        assert (ask("/readyz")[0], ask("/livez")[0]) == (ready, alive)


async def test_a_loop_that_is_held_is_told_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the loop is blocked, all three paths report it; afterwards nothing is wrong."""
    health = Health()
    health.phase = "consuming"
    answers = {}
    with answered(health) as ask:

        def look() -> None:
            answers.update({path: ask(path) for path in ("/healthz", "/readyz", "/livez", "/metrics")})
            looked.set()

        looked = threading.Event()
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(health.beat())
            await asyncio.sleep(0)
            timer = threading.Timer(HELD_S + 0.5, look)
            timer.start()
            looked.wait(PATIENCE_S)  # blocks the loop
            await asyncio.sleep(3 * health_module.BEAT_S)
            after = health.whole()
            beating.cancel()

    assert answers["/metrics"][0] == 200
    for path in ("/healthz", "/readyz", "/livez"):
        status, body = answers[path]
        (wrong,) = json.loads(body)["wrong"]
        assert status == 503
        assert wrong.startswith("loop held for ")
    assert after.wrong == ()


async def test_a_broker_that_does_not_answer_is_named(
    health: Health, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One missing answer is tolerated, several are reported, and a new answer clears it."""
    monkeypatch.setattr(health_module, "ASK_S", 0.001)
    broker = AskedBroker(7, StorageUnavailableError("away"))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(health.ask(broker))
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(3):
                await broker.asked.get()
            first = health.whole()
            clock.now_s += SILENT_S
            silent = health.whole()
            broker.script = [3]
            for _ in range(3):
                await broker.asked.get()
        health._beat_s = clock.now_s
        again = health.whole()
        asking.cancel()

    assert (first.wrong, first.facts["pending"]) == ((), 7)
    assert f"broker silent for {SILENT_S:.0f} s" in silent.wrong
    assert (again.wrong, again.facts["pending"]) == ((), 3)


async def test_a_broker_that_hangs_is_not_waited_for(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an answer times out and is repeated."""
    monkeypatch.setattr(health_module, "ASK_S", 0.001)
    monkeypatch.setattr(health_module, "ANSWER_S", ANSWER_S / 100)

    class Hanging(AskedBroker):
        async def pending(self) -> int:
            self.asked.put_nowait(None)
            await asyncio.Event().wait()
            raise AssertionError

    broker = Hanging()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(health.ask(broker))
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(3):
                await broker.asked.get()
        asking.cancel()

    assert health.pending is None


def test_metrics_are_prometheus_text(health: Health) -> None:
    """The metrics can be parsed, and include those of the process."""
    with answered(health) as ask:
        status, body = ask("/metrics")

    names = {family.name for family in text_string_to_metric_families(body)}
    assert status == 200
    assert "process_cpu_seconds" in names


def test_other_paths_are_told_which_there_are(health: Health) -> None:
    """An unknown path gives 404 with the known paths."""
    with answered(health) as ask:
        assert ask("/") == (404, "not found; paths: /metrics /healthz /readyz /livez\n")


def test_who_keeps_silent_holds_nobody(health: Health) -> None:
    """A client that connects and sends nothing delays neither others nor the shutdown."""
    began = time.monotonic()
    with serve_http(LOOPBACK, {"/healthz": health.whole}) as port:
        with socket.create_connection(("127.0.0.1", port)):
            assert get(port, "/healthz")[0] == 200

    assert time.monotonic() - began < PATIENCE_S


def test_a_port_that_is_taken_is_one_clear_error(health: Health) -> None:
    """A port in use is one clear error."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"^http: 127.0.0.1:{port}: Address already in use$"):
            with serve_http(ListenAddress("127.0.0.1", port), {}):
                pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8080", ("127.0.0.1", 8080)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("localhost:0", ("localhost", 0))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """Without a host, the address is on loopback."""
    assert parse_listen_address(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1:2:x", "70000", "-1", "²"])
def test_addresses_that_are_none(text: str) -> None:
    """Text that is not an address is refused."""
    with pytest.raises(ValueError, match=r"^PORT or HOST:PORT$"):
        parse_listen_address(text)
