"""The load driver as the runner starts it: a process of its own, against real HTTP servers."""

from __future__ import annotations

import asyncio
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from harness.drive.load.driver_config import DriverConfig
from harness.record.event import Completed, LoadEnded, LoadStarted, Sent, SpanEnded, WriterClosed
from harness.record.options.load import HttpLoad
from harness.record.reader import Follower
from tests.support.port import free_port
from tests.support.process import Piped
from tests.support.recorded import recorded

DRIVER = [sys.executable, "-m", "harness.drive.load.driver"]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Order = Callable[..., DriverConfig]


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """A real server on a loop and thread of its own; gives its address."""
    ready = threading.Event()
    ended = asyncio.Event()
    addresses: list[tuple[Any, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        addresses.append((runner.addresses[0], asyncio.get_running_loop()))
        ready.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    [((host, port), loop)] = addresses
    try:
        yield f"http://{host}:{port}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Makes orders for this test's record."""

    def make(
        url: str,
        *,
        rate_per_s: float,
        duration_s: float,
        arrival: str = "constant",
        drain_s: float = 5.0,
        **parameters: object,
    ) -> DriverConfig:
        asked: dict[str, Any] = {"timeout_s": 10.0} | parameters
        load = HttpLoad(sender="http", url=url, rate_per_s=rate_per_s, duration_s=duration_s, **asked)
        return DriverConfig(
            events=str(tmp_path),
            start_at_ns=time.monotonic_ns() + 1_000_000_000,  # the driver's imports take their time
            sender="http",
            parameters=load.parameters(),
            arrival=arrival,
            plan=load.plan,
            duration_s=duration_s,
            visits=tuple(load.visits()),
            seed=1,
            drain_s=drain_s,
        )

    return make


def run(order: DriverConfig) -> subprocess.CompletedProcess[str]:
    return subprocess.run(DRIVER, input=order.to_json(), text=True, capture_output=True, timeout=60)


def wait_sent(folder: Path, *, at_least: int) -> None:
    deadline_s = time.monotonic() + 30
    while len(recorded(folder, Sent)) < at_least:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_every_request_is_sent_on_time_and_answered(order: Order, tmp_path: Path) -> None:
    """A constant 200/s for 2 s is 400 requests, each due 5 ms after the other and sent within 5 ms."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    with serving(answer) as url:
        asked = order(url, rate_per_s=200, duration_s=2)
        ended = run(asked)
    [started], [over] = recorded(tmp_path, LoadStarted), recorded(tmp_path, LoadEnded)
    sent = recorded(tmp_path, Sent)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert started == LoadStarted(asked.start_at_ns, "http", "constant", 200, 2)
    assert [s.intended_ns for s in sent] == [asked.start_at_ns + n * 5_000_000 for n in range(400)]
    assert statistics.median(s.sent_ns - s.intended_ns for s in sent) < 5e6
    assert sorted(c.n for c in recorded(tmp_path, Completed) if c.ok) == list(range(400))
    assert over.offered == 400
    assert over.at_ns >= asked.start_at_ns + 2e9
    assert [closed.dropped for closed in recorded(tmp_path, WriterClosed)] == [0]


@pytest.mark.long
def test_a_stalled_server_does_not_stall_the_schedule(order: Order, tmp_path: Path) -> None:
    """While the server is blocked for 500 ms the requests go on being sent, and all of them show the wait."""
    blocked_ns: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        if not blocked_ns:
            blocked_ns.append(time.monotonic_ns())
            time.sleep(0.5)
            blocked_ns.append(time.monotonic_ns())
        return web.Response()

    with serving(answer) as url:
        ended = run(order(url, rate_per_s=100, duration_s=1.5))
    begin_ns, end_ns = blocked_ns
    done_ns = {c.n: c.done_ns for c in recorded(tmp_path, Completed)}
    during = [s for s in recorded(tmp_path, Sent) if begin_ns < s.intended_ns < end_ns - 200e6]

    assert ended.returncode == 0
    assert len(during) >= 25  # 300 ms of the schedule
    assert statistics.median(s.sent_ns - s.intended_ns for s in during) < 20e6
    assert all(done_ns[s.n] >= end_ns for s in during)
    assert max(done_ns[s.n] - s.intended_ns for s in during) > 400e6


def test_the_target_can_join_the_drivers_trace(order: Order, tmp_path: Path) -> None:
    """Each request carries, besides the asked-for headers and body, the id of the driver's span for it."""
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers["x-shop"], await request.text()))
        parents.append(request.headers["traceparent"])
        return web.Response()

    parents: list[str] = []
    with serving(answer) as url:
        asked = order(
            f"{url}/buy?n=1", rate_per_s=10, duration_s=0.5, method="POST", headers={"x-shop": "1"}, body="é"
        )
        run(asked)
    spans = recorded(tmp_path, SpanEnded)

    assert seen == [("POST", "/buy", "1", "é")] * 5
    assert {(s.name, s.kind, s.parent_id, s.status) for s in spans} == {("POST /buy", "client", "", "unset")}
    assert sorted(parents) == sorted(f"00-{s.trace_id}-{s.span_id}-01" for s in spans)
    assert {s.trace_id for s in spans} == {s.trace_id for s in recorded(tmp_path, Sent)}
    assert len({s.trace_id for s in spans}) == 5


@pytest.mark.parametrize(
    ("status", "expect_status", "error"),
    [(204, [], ""), (302, [], ""), (503, [], "status 503"), (503, [503], ""), (200, [503], "status 200")],
)
def test_the_status_decides_about_success(
    order: Order, tmp_path: Path, status: int, expect_status: list[int], error: str
) -> None:
    """A status below 400, or one of those that are expected, is success; any other is the request's error."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"location": "/elsewhere"})

    with serving(answer) as url:
        run(order(url, rate_per_s=10, duration_s=0.1, expect_status=expect_status))
    [completed] = recorded(tmp_path, Completed)

    assert (completed.ok, completed.error) == (not error, error)


def test_a_target_that_does_not_listen_fails_requests_and_not_the_driver(
    order: Order, tmp_path: Path
) -> None:
    """A refused connection is a failed request; the load goes on."""
    ended = run(order(f"http://127.0.0.1:{free_port()}/", rate_per_s=20, duration_s=0.5))
    completed = recorded(tmp_path, Completed)

    assert ended.returncode == 0
    assert [(c.ok, c.error.partition(":")[0]) for c in completed] == [(False, "ClientConnectorError")] * 10


def test_what_is_not_answered_stays_open(order: Order, tmp_path: Path) -> None:
    """A request without an answer after `drain_s` has no completion, and the driver ends all the same."""
    give_up = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await give_up.wait()
        return web.Response()

    with serving(answer) as url:
        ended = run(order(url, rate_per_s=10, duration_s=0.3, drain_s=0.2))

    assert ended.returncode == 0
    assert len(recorded(tmp_path, Sent)) == 3
    assert recorded(tmp_path, Completed) == []
    assert [over.offered for over in recorded(tmp_path, LoadEnded)] == [3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_schedule_in_good_order(
    order: Order, tmp_path: Path, number: signal.Signals
) -> None:
    """After SIGTERM or SIGINT nothing more is sent, the record is closed, and the status is 0."""
    asked = order(f"http://127.0.0.1:{free_port()}/", rate_per_s=50, duration_s=60)
    with Piped(DRIVER, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        driver.stdin.write(asked.to_json())
        driver.stdin.close()
        wait_sent(tmp_path, at_least=10)
        driver.send_signal(number)
        status, errors = driver.wait(10), driver.stderr.read()
    [over] = recorded(tmp_path, LoadEnded)

    assert (status, errors) == (0, "")
    assert over.offered == len(recorded(tmp_path, Sent))
    assert over.offered < 60 * 50
    assert len(recorded(tmp_path, WriterClosed)) == 1


def test_a_killed_driver_leaves_a_readable_record(order: Order, tmp_path: Path) -> None:
    """After `kill -9` every line that was completed can be read; the end is missing."""
    asked = order(f"http://127.0.0.1:{free_port()}/", rate_per_s=50, duration_s=60)
    with Piped(DRIVER, stdin=subprocess.PIPE, text=True) as driver:
        driver.stdin.write(asked.to_json())
        driver.stdin.close()
        wait_sent(tmp_path, at_least=10)
        driver.kill()
    follower = Follower(tmp_path)
    events = [event for _, event in follower.new_events()]
    [source] = follower.sources

    assert (source.damaged, source.unknown, source.closed) == (0, 0, None)
    assert [e.n for e in events if isinstance(e, Sent)][:10] == list(range(10))
    assert not any(isinstance(e, LoadEnded) for e in events)


def test_a_missing_library_is_named(order: Order) -> None:
    """Without aiohttp the driver ends with status 2, and says which extra brings it."""
    hidden = (
        "import sys; sys.modules['aiohttp'] = None; from harness.drive.load.driver import main; exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", hidden],
        input=order("http://127.0.0.1:1/", rate_per_s=1, duration_s=1).to_json(),
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert ended.returncode == 2
    assert ended.stderr == ('load driver: the sender "http" needs aiohttp: install asyncio-harness[http]\n')
