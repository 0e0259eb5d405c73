"""What users do, against a real server: flows, checks, values taken from answers, and users who wait."""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from aiohttp import web

from harness.drive.load.driver_config import DriverConfig
from harness.errors import UsageError
from harness.record.event import Completed, LoadEnded, LoadStarted, Sent, SpanEnded
from harness.record.options.load import HttpLoad, PythonLoad
from tests.support.commanded import harness
from tests.support.driven import driven
from tests.support.port import free_port
from tests.support.recorded import of_kind

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def shop(*routes: tuple[str, str, Handler]) -> AsyncIterator[str]:
    """A real server with these routes: method, path and handler."""
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def order(load: HttpLoad | PythonLoad, events: Path, *, seed: int = 1) -> DriverConfig:
    return DriverConfig(
        events=str(events),
        start_at_ns=time.monotonic_ns() + 100_000_000,
        sender=load.sender,
        parameters=load.parameters(),
        arrival="closed" if load.closed else "constant",
        plan=load.plan,
        duration_s=load.lasts_s,
        seed=seed,
        drain_s=5.0,
        users=load.closed,
        visits=tuple(load.visits()),
        data=load.data_file,
    )


def http(url: str, **about: Any) -> HttpLoad:
    asked = {"sender": "http", "url": url, "rate_per_s": 20, "duration_s": 0.5} | about
    return HttpLoad.model_validate({key: value for key, value in asked.items() if value is not None})


LOGIN = {
    "name": "login",
    "method": "POST",
    "url": "/login",
    "json": {"name": "{{name}}", "deep": [{"of": "{{ visit }}"}]},
    "take": {"token": "json:auth.tokens.0", "place": "header:location", "csrf": 'body:"csrf": "([^"]+)"'},
}
BUY = {
    "name": "buy",
    "method": "PUT",
    "url": "{{place}}?csrf={{csrf}}",
    "headers": {"authorization": "Bearer {{token}}"},
    "body": "{{name}} buys",
    "think_s": 0.05,
    "tags": ["slow"],
}


async def test_a_flow_takes_values_from_answers_and_keeps_its_cookies(tmp_path: Path) -> None:
    """Each visit has a row of the data; a step is due after the answer before it and its own pause."""
    (tmp_path / "users.csv").write_text('name,ignored\nanna,1\n"bert, the 2nd",2\n')
    bought: list[tuple[str, str, str, str]] = []

    async def login(request: web.Request) -> web.Response:
        given = await request.json()
        about = {"auth": {"tokens": [f"t-{given['deep'][0]['of']}"]}, "csrf": "c1"}
        answer = web.json_response(about, headers={"location": "/cart/7"})
        answer.set_cookie("sid", given["name"].partition(",")[0])
        return answer

    async def buy(request: web.Request) -> web.Response:
        bought.append(
            (
                request.headers["authorization"],
                request.query["csrf"],
                await request.text(),
                request.cookies["sid"],
            )
        )
        return web.Response()

    async with shop(("POST", "/login", login), ("PUT", "/cart/7", buy)) as url:
        flows = [{"name": "checkout", "steps": [LOGIN, BUY]}]
        load = http(url, rate_per_s=8, data=str(tmp_path / "users.csv"), cookies=True, flows=flows)
        events = await driven(order(load, tmp_path), tmp_path)

    assert sorted(bought) == [
        ("Bearer t-0", "c1", "anna buys", "anna"),
        ("Bearer t-1", "c1", "bert, the 2nd buys", "bert"),
        ("Bearer t-2", "c1", "anna buys", "anna"),
        ("Bearer t-3", "c1", "bert, the 2nd buys", "bert"),
    ]
    (started,) = of_kind(events, LoadStarted)
    assert started.tags == (("login", "checkout"), ("buy", "slow", "checkout"))
    sent, done = of_kind(events, Sent), {one.n: one for one in of_kind(events, Completed)}
    assert Counter(one.step for one in sent) == {0: 4, 1: 4}
    assert all(one.ok for one in done.values())
    logged_in = sorted(done[one.n].done_ns for one in sent if one.step == 0)
    for answered_ns, due_ns in zip(
        logged_in, sorted(one.intended_ns for one in sent if one.step), strict=True
    ):
        assert 50e6 <= due_ns - answered_ns < 100e6
    assert {one.name for one in of_kind(events, SpanEnded)} == {"POST /login", "PUT {{place}}"}


async def hello(_: web.Request) -> web.Response:
    body = gzip.compress(b"hello, world")
    return web.Response(
        body=body, headers={"content-encoding": "gzip", "x-kind": "cart", "x-odd": "http://["}
    )


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ({"expect_body": "hello.*d$"}, ""),
        ({"expect_body": "goodbye"}, "unexpected body: hello, world"),
        ({"expect_headers": {"x-kind": "^cart"}}, ""),
        ({"expect_headers": {"X-Kind": "^order"}}, "unexpected header X-Kind: cart"),
        ({"expect_headers": {"etag": "."}}, "header etag missing"),
        ({"expect_status": [201]}, "status 200"),
        ({"take": {"id": "json:id"}}, "no id in the answer: json:id"),
        ({"take": {"id": "header:etag"}}, "no id in the answer: header:etag"),
        ({"take": {"id": "body:(bye)"}}, "no id in the answer: body:(bye)"),
        ({"take": {"id": "body:wor(ld)"}}, ""),
    ],
)
async def test_an_answer_that_is_not_as_it_must_be_is_a_failed_request(
    step: dict[str, Any], error: str, tmp_path: Path
) -> None:
    """It ends its flow: the next step is not sent. Also of an answer that comes compressed."""
    flow = {"name": "two", "steps": [{"name": "first"} | step, {"name": "second"}]}
    async with shop(("GET", "/", hello)) as url:
        events = await driven(order(http(url, rate_per_s=4, flows=[flow]), tmp_path), tmp_path)

    done = of_kind(events, Completed)
    assert {(one.error, one.kind) for one in done if not one.ok} == (
        {(error, "status" if "status" in error else "check")} if error else set()
    )
    assert Counter(one.step for one in of_kind(events, Sent)) == ({0: 2} if error else {0: 2, 1: 2})
    assert of_kind(events, LoadEnded)[0].offered == len(done)


async def test_a_visit_that_is_under_way_at_the_end_of_the_load_goes_on(tmp_path: Path) -> None:
    """Also in a pause, when no request is in flight; and a value that is no address is a failed request."""
    steps = [
        {"name": "first", "take": {"place": "header:x-odd"}},
        {"name": "second", "think_s": 0.4},
        {"name": "third", "url": "{{place}}"},
        {"name": "never"},
    ]
    async with shop(("GET", "/", hello)) as url:
        load = http(url, rate_per_s=10, duration_s=0.1, flows=[{"name": "slow", "steps": steps}])
        events = await driven(order(load, tmp_path), tmp_path)

    assert [one.step for one in of_kind(events, Sent)] == [0, 1, 2]
    done = sorted(of_kind(events, Completed), key=lambda one: one.n)
    assert [one.ok for one in done] == [True, True, False]
    assert (done[2].kind, done[2].error.partition(":")[0]) == ("check", "no address")


async def test_visits_are_chosen_by_weight_and_seed(tmp_path: Path) -> None:
    """The same seed makes the same choices; a request has what it does not say itself from the load."""
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers["x-all"]))
        return web.Response()

    requests = [{"name": "home", "weight": 3}, {"name": "poke", "url": "poke", "method": "GET"}]
    about: dict[str, Any] = {"method": "POST", "headers": {"x-all": "yes"}, "requests": requests}
    runs = []
    async with shop(("*", "/{path:.*}", answer)) as url:
        for number, seed in enumerate((1, 1, 2)):
            events = tmp_path / f"{number}"
            events.mkdir()
            record = await driven(order(http(url, rate_per_s=200, **about), events, seed=seed), events)
            runs.append([one.step for one in sorted(of_kind(record, Sent), key=lambda one: one.n)])

    assert set(seen) == {("POST", "/", "yes"), ("GET", "/poke", "yes")}
    assert runs[0] == runs[1] != runs[2]
    assert Counter(runs[0])[0] == pytest.approx(75, abs=22)


async def test_users_wait_for_their_answers(tmp_path: Path) -> None:
    """A closed model: never more requests than users, and a slow service gets less load."""
    at_once, most = 0, 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.1)
        at_once -= 1
        return web.Response()

    async with shop(("GET", "/", slow)) as url:
        load = http(url, rate_per_s=None, duration_s=1, users=3)
        events = await driven(order(load, tmp_path), tmp_path)

    done = of_kind(events, Completed)
    assert most == 3
    assert 12 <= len(done) <= 33
    assert all(one.ok for one in done)
    assert of_kind(events, LoadStarted)[0].arrival == "closed"


MINE = """
    import asyncio

    async def first(request):
        request.values["trace"] = request.traceparent
        await asyncio.sleep(0)

    async def second(request):
        assert request.values["trace"].split("-")[1] != request.traceparent.split("-")[1]
        if request.values["visit"] == "1":
            raise ConnectionRefusedError("sold out")
        if request.values["visit"] == "2":
            await asyncio.sleep(60)

    def not_async(request):
        pass
"""


async def test_requests_may_be_calls_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a visit share its values; an exception is a failure, and so is too long a call."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine_of_test.py").write_text(dedent(MINE))
    steps = [{"name": name, "call": f"mine_of_test:{name}"} for name in ("first", "second")]
    load = PythonLoad.model_validate(
        {
            "sender": "python",
            "cwd": str(tmp_path),
            "rate_per_s": 20,
            "duration_s": 0.2,
            "timeout_s": 0.2,
            "flows": [{"name": "both", "steps": steps}],
        }
    )
    events = await driven(order(load, tmp_path), tmp_path)

    assert Counter((one.ok, one.error, one.kind) for one in of_kind(events, Completed)) == {
        (True, "", ""): 6,
        (False, "ConnectionRefusedError: sold out", "refused"): 1,
        (False, "TimeoutError", "timeout"): 1,
    }
    with pytest.raises(UsageError, match="not_async: expected a coroutine function"):
        await driven(
            order(load.model_copy(update={"flows": (), "call": "mine_of_test:not_async"}), tmp_path), tmp_path
        )


SHOP = """
import asyncio, sys

async def answer(reader, writer):
    while line := await reader.readline():
        while (await reader.readline()).strip():
            pass
        if b"/slow" in line:
            await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""
SCENARIO = """
[target]
kind = "program"
command = ["{python}", "shop.py", "{port}"]
ready.port = {port}
stop_signal = "SIGTERM"

[load]
sender = "http"
url = "http://127.0.0.1:{port}/"
arrival = "constant"
max_late_ms = 60000
warm_up_s = 0.5
stages = [
  {{ shape = "constant", for_s = 1, rate_per_s = 20 }},
  {{ shape = "ramp", for_s = 1, to_per_s = 40 }},
]

[[load.requests]]
name = "home"
[[load.requests]]
name = "report"
url = "slow"

[expect]
"load.tag.home.latency_ms.p50" = "< 150"
"load.tag.report.latency_ms.p50" = "< 150"
"load.warm_up" = "== 10"
"""


def test_a_run_judges_each_tag_and_leaves_the_warm_up_out(tmp_path: Path) -> None:
    """Only the slow request is over its limit; requests of the first half second count nowhere."""
    port = free_port()
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "two.toml").write_text(SCENARIO.format(python=sys.executable, port=port))
    ended = harness("run", "two.toml", cwd=tmp_path)

    assert ended.status == 1, ended.stderr
    assert "failed load.tag.report.latency_ms.p50 is 20" in ended.stdout
    load = ended.report["load"]
    assert (load["offered"], load["warm_up"], load["model"]) == (40, 10, "open")
    tags = load["tag"]
    assert tags["home"]["sent"] + tags["report"]["sent"] == 40
    assert tags["report"]["latency_ms"]["p50"] == pytest.approx(205, abs=50)
    assert "home: " in ended.stdout


def test_calls_that_cannot_be_made_are_told_before_anything_starts(tmp_path: Path) -> None:
    """The functions are looked up in a process of its own."""
    (tmp_path / "mine.py").write_text(dedent(MINE))
    scenario = """
        [target]
        kind = "program"
        command = ["{python}", "-c", "open('started', 'w')"]
        ready.after_s = 0.1
        [load]
        sender = "python"
        call = "{call}"
        users = 1
        duration_s = 1
    """
    for call, message in (
        ("nowhere:first", "load.call nowhere:first: ModuleNotFoundError: No module named 'nowhere'"),
        ("mine:third", "load.call mine:third: AttributeError: module 'mine' has no attribute 'third'"),
        ("mine:not_async", "load.call mine:not_async: expected a coroutine function (async def)"),
    ):
        (tmp_path / "mine.toml").write_text(dedent(scenario).format(python=sys.executable, call=call))
        ended = harness("run", "mine.toml", cwd=tmp_path)
        assert (ended.status, ended.stderr) == (2, f"harness: {message}\n")
    assert not (tmp_path / "started").exists()
