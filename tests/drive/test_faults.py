"""The faults of a run: in every process of the target, undone on every way out, and told when they failed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from harness.drive import faults
from harness.errors import MeasurementError
from harness.record.event import (
    Completed,
    Event,
    FaultFailed,
    FaultFired,
    FaultInjected,
    FaultUndone,
    LoadStarted,
    Sent,
    TargetStopping,
)
from harness.record.fault.board import FaultBoard
from harness.record.scenario import load
from tests.support.commanded import Ended, harness, running, scenario
from tests.support.port import free_port
from tests.support.recorded import recorded

pytestmark = pytest.mark.slow

# A service with a table of routes that hold the handlers. It is a script, so its module is `__main__`, it
# imports a part only with the first request. At its end it says whether its functions have their own code.
SERVICE = """
    import asyncio, atexit, functools, json, sys

    LEFT = int(sys.argv[2])  # requests until the process ends

    async def handle():
        import shop_prices
        try:
            return 200, shop_prices.total(3)
        except OSError:
            return 500, 0

    def unused(): ...

    def seldom(): ...

    class Routes:
        def __init__(self):
            self.table = {"/": functools.partial(handle)}

    routes, own = Routes(), {one: one.__code__ for one in (handle, unused, seldom)}

    def say(when):
        import shop_prices
        prices = shop_prices.total.__code__ is shop_prices.own
        same = [prices, *(one.__code__ is code for one, code in own.items())]
        print(json.dumps({"when": when, "own": all(same)}), flush=True)

    async def serve(stop, reader, writer):
        global LEFT
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                seldom()
                LEFT -= 1
                status, body = await routes.table[line.split()[1].decode()]()
                close = b"Connection: close\\r\\n" if LEFT == 0 else b""
                writer.write(b"HTTP/1.1 %d Done\\r\\nContent-Length: 1\\r\\n%s\\r\\n" % (status, close))
                writer.write(b"%d" % body)
                await writer.drain()
                if not LEFT:
                    return stop.set()
        finally:
            writer.close()

    async def main():
        stop = asyncio.Event()
        server = await asyncio.start_server(
            functools.partial(serve, stop), "127.0.0.1", int(sys.argv[1]), reuse_port=True
        )
        try:
            await stop.wait()
        finally:
            server.close()
            if len(sys.argv) == 3:
                say("stopping")

    def work():
        asyncio.run(main())

    if __name__ == "__main__":
        if len(sys.argv) == 3:
            atexit.register(say, "exiting")
            work()
        import multiprocessing, signal
        from multiprocessing.connection import wait
        context, workers = multiprocessing.get_context(sys.argv[3]), []
        signal.signal(signal.SIGINT, lambda *_: sys.exit())
        while True:
            workers = [worker for worker in workers if worker.is_alive()]
            while len(workers) < 2:
                workers.append(context.Process(target=work, daemon=True))
                workers[-1].start()
            wait([worker.sentinel for worker in workers])
"""
PRICES = """
    def total(n):
        return n
    own = total.__code__
"""
SCENARIO = """
    seed = 7
    [target]
    kind = "program"
    command = {command}
    ready = {{ port = {port} }}
    stop_signal = "SIGINT"
    [load]
    sender = "http"
    url = "http://127.0.0.1:{port}/"
    arrival = "constant"
    rate_per_s = {rate}
    duration_s = {duration}
    max_late_ms = 5000
"""
FAULT = """
    [[faults]]
    id = "{id}"
    kind = "block.sleep"
    in = "{place}"
    block_ms = 5
    {more}
"""
SLOW = FAULT.format(id="slow", place="service:handle", more="probability = 0.3")
FAILING = """
    [[faults]]
    id = "failing"
    kind = "call.fail"
    in = "shop_prices:total"
    raises = "builtins:TimeoutError"
    limit = 2
"""


def service(
    tmp_path: Path, *broken: str, rate: int = 20, duration: int = 5, left: int = -1, workers: str = ""
) -> Path:
    """The scenario of the service with these faults."""
    (tmp_path / "service.py").write_text(dedent(SERVICE))
    (tmp_path / "shop_prices.py").write_text(dedent(PRICES))
    port = free_port()
    command = [sys.executable, "service.py", str(port), str(left), *filter(None, [workers])]
    asked = SCENARIO.format(command=json.dumps(command), port=port, rate=rate, duration=duration)
    return scenario(tmp_path, asked + "".join(broken))


def said(ended: Ended) -> dict[str, bool]:
    """What the service said of its functions, by when."""
    lines = (ended.folder.artefacts / "target.log").read_text().splitlines()
    # Others are of a traceback: the service ends by a KeyboardInterrupt.
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return {one["when"]: one["own"] for one in told}


@pytest.mark.long
def test_handlers_that_others_hold_are_hit_and_have_their_own_code_again(tmp_path: Path) -> None:
    """By the script's own name, and in a module that comes with a request; the seed says which calls."""
    ended = harness("run", service(tmp_path, SLOW, FAILING), cwd=tmp_path)

    assert ended.status == 0, ended.stdout
    told = {fault["id"]: fault for fault in ended.report["faults"]}
    assert {name: (one["injected"], one["undone"]) for name, one in told.items()} == {
        "slow": (True, True),
        "failing": (True, True),
    }
    dice = random.Random("7.0")
    calls = told["slow"]["calls"]
    assert calls > 10
    assert told["slow"]["fired"] == sum(dice.random() < 0.3 for _ in range(calls)) > 0
    assert [done.ok for done in recorded(ended.folder.events, Completed)].count(False) == 2
    assert told["failing"]["fired"] == 2 < told["failing"]["calls"]
    assert said(ended) == {"stopping": True, "exiting": True}


@pytest.mark.long
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_come_later_get_the_faults_and_those_that_ended_count(
    tmp_path: Path, method: str
) -> None:
    """Each worker ends after a few requests, and another one takes its place."""
    fault = FAULT.format(id="slow", place="service:handle", more="")
    asked = service(tmp_path, fault, rate=20, duration=7, left=3, workers=method)
    ended = harness("run", asked, cwd=tmp_path)

    (told,) = ended.report["faults"]
    assert told["processes"] > 2
    hits = recorded(ended.folder.events, FaultFired)
    injected = recorded(ended.folder.events, FaultInjected)[0].at_ns
    assert told["fired"] == told["calls"] == len(hits)
    answered = [done for done in recorded(ended.folder.events, Completed) if done.ok]
    sent = {request.n: request.sent_ns for request in recorded(ended.folder.events, Sent)}
    # Requests that were sent before the fault, or answered after the load's end.
    outside = [
        done for done in answered if sent[done.n] < injected or done.done_ns > hits[-1].at_ns + 100_000_000
    ]
    assert told["calls"] >= len(answered) - len(outside) > 2 * 3


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_fault_outlives_the_runner(tmp_path: Path, how: signal.Signals) -> None:
    """Interrupted, it undoes the faults before the target stops; killed, the target's end undoes them."""
    fault = FAULT.format(id="slow", place="service:handle", more="")
    with running("run", service(tmp_path, fault, duration=30), cwd=tmp_path) as run:
        run.wait_event(FaultFired, 3)
        os.kill(run.process.pid, how)
        ended = run.ended()
        assert run.all_gone()

    assert ended.status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert said(ended) == {"stopping": how == signal.SIGINT, "exiting": True}


def test_what_cannot_be_hit_is_told_before_the_load(tmp_path: Path) -> None:
    """No request is sent, the target is stopped as ever, each reason is told, and the status is 3."""
    places = {"c": "time:sleep", "name": "service:nothing", "class": "service:Routes", "module": "nowhere:f"}
    asked = [FAULT.format(id=name, place=place, more="") for name, place in places.items()]
    ended = harness("run", service(tmp_path, SLOW, *asked), cwd=tmp_path)

    assert ended.status == 3
    assert ended.report["run"]["outcome"] == "invalid"
    assert "fault c cannot be injected, so no load was sent" in ended.report["run"]["verdict"]
    assert {fault["id"]: fault["error"] for fault in ended.report["faults"]} == {
        "c": "time:sleep is a builtin_function_or_method, not a Python function: "
        "it has no code to be changed",
        "name": "service:nothing: service has no nothing",
        "class": "service:Routes is a class, not a Python function; "
        "name one of its methods, such as service:Routes.__init__",
        "module": "the program has no module nowhere",
    }
    assert not recorded(ended.folder.events, LoadStarted)
    assert recorded(ended.folder.events, TargetStopping)
    assert said(ended) == {"stopping": True, "exiting": True}


@pytest.mark.long
def test_a_fault_that_did_not_happen_makes_the_run_invalid(tmp_path: Path) -> None:
    """Whether its function was not called, no call was hit, its module never came, or came without it."""
    (tmp_path / "shop_never.py").write_text("def f(): ...\n")
    asked = [
        FAULT.format(id="unused", place="service:unused", more=""),
        FAULT.format(id="seldom", place="service:seldom", more="probability = 0.00001"),
        FAULT.format(id="never", place="shop_never:f", more=""),
        FAULT.format(id="wrong", place="shop_prices:nothing", more=""),
    ]
    ended = harness("run", service(tmp_path, *asked), cwd=tmp_path)

    assert ended.status == 3
    assert ended.report["run"]["verdict"].startswith("Invalid measurement (fault ")
    (seldom,) = [fault for fault in ended.report["faults"] if fault["id"] == "seldom"]
    told = " ".join(finding["message"] for finding in ended.report["findings"])
    assert "fault unused never took effect: service:unused was not called" in told
    assert f"of {seldom['calls']} calls of service:seldom" in told
    assert "0.001 % are 0.0 on average" in told
    assert "no process of the target had shop_never loaded" in told
    # The module came just before the fault, or while it was in force.
    assert re.search(r"fault wrong (was not injected|failed): shop_prices:nothing: shop_prices has no", told)


async def test_a_fault_is_on_the_board_for_as_long_as_it_is_in_force(tmp_path: Path) -> None:
    """There a process that starts meanwhile finds it, and one that starts later does not."""
    (planned,) = load(service(tmp_path, SLOW)).function_faults
    posted: dict[type[Event], list[str]] = {}

    def write(event: Event) -> None:
        posted[type(event)] = [each["id"] for each in FaultBoard(tmp_path).posted()]

    now_ns = time.monotonic_ns()
    await faults.keep_in_force(planned, start_ns=now_ns, end_ns=now_ns, seed=1, sockets=tmp_path, write=write)

    assert posted == {FaultInjected: ["slow"], FaultUndone: []}


async def test_a_target_without_a_watched_loop_is_told_before_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers in the folder of the control sockets."""
    monkeypatch.setattr(faults, "LOOP_WITHIN_S", 0.3)
    planned = load(service(tmp_path, SLOW)).function_faults
    told: list[Event] = []

    with pytest.raises(MeasurementError, match="fault slow cannot be injected, so no load was sent"):
        await faults.find_all(planned, seed=1, sockets=tmp_path, write=told.append)

    (failed,) = told
    assert isinstance(failed, FaultFailed)
    assert failed.error == "no process of the target runs a loop under the probe"
