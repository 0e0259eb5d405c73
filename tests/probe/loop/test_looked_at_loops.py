"""Loops without a selector in Python: what the probe finds out by looking, and that it changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.read.report import Report
from harness.record.event import Blocked, LoopStarted, ProbeFailed
from tests.support.bare_loop import BARE_LOOP
from tests.support.judged import judged
from tests.support.watched import Outcome, watched

UVLOOP = "import asyncio, uvloop\nnew_loop = uvloop.new_event_loop\n"
BARE = BARE_LOOP + "\nnew_loop = BareLoop\n"
LOOPS = {"uvloop": (UVLOOP, "libuv"), "bare": (BARE, "looks")}
RUN = "\nloop = new_loop()\nloop.run_until_complete(main())\n"


def program(name: str, body: str) -> str:
    if name == "uvloop":
        pytest.importorskip("uvloop")
    return LOOPS[name][0] + dedent(body) + RUN


def judged_well(seen: Outcome) -> Report:
    """The report of a program that ended well."""
    assert seen.status == 0, seen.stderr
    return judged(seen)


def bare(program: str, path: Path) -> Any:
    """What the program prints without the probe."""
    file = path / "bare.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=True, timeout=60, cwd=path
    )
    return json.loads(done.stdout.splitlines()[-1])


LOST = """
import json, threading, time

async def main():
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()
    def put():
        time.sleep(0.3)
        {put}
    thread = threading.Thread(target=put)
    thread.start()
    waited = asyncio.create_task(queue.get())
    loop.call_later(1.5, int)
    since = time.monotonic()
    await waited
    print(json.dumps({{"after_s": time.monotonic() - since}}))
"""


@pytest.mark.parametrize("name", LOOPS)
def test_a_wake_up_that_the_program_has_lost_stays_lost(name: str, tmp_path: Path) -> None:
    """A thread that calls the loop unsafely is heard when the loop wakes up by itself, watched or not."""
    unsafe = program(name, LOST.format(put="queue.put_nowait(1)"))
    alone, seen = bare(unsafe, tmp_path), watched(unsafe, tmp_path)

    assert seen.status == 0, seen.stderr
    assert alone["after_s"] > 1.4
    assert seen.said["after_s"] > 1.4


def test_a_wake_up_that_is_not_lost_comes_at_once(tmp_path: Path) -> None:
    """The same program, with `call_soon_threadsafe`."""
    put = "loop.call_soon_threadsafe(queue.put_nowait, 1)"
    seen = watched(program("uvloop", LOST.format(put=put)), tmp_path)

    assert seen.status == 0, seen.stderr
    assert seen.said["after_s"] < 1.4


IDLE = """
import glob, json, os

def switches():
    found = {}
    for name in glob.glob("/proc/self/task/*/status"):
        lines = dict(line.split(":", 1) for line in open(name).read().splitlines())
        found[lines["Pid"].strip()] = int(lines["voluntary_ctxt_switches"])
    return found

async def main():
    await asyncio.sleep(0.3)
    before = switches()
    await asyncio.sleep(1.5)
    after = switches()
    woken = {pid: count - before.get(pid, 0) for pid, count in after.items()}
    print(json.dumps({"loop": woken.pop(str(os.getpid())), "others": sorted(woken.values())}))
"""


@pytest.mark.parametrize("name", LOOPS)
def test_an_idle_loop_is_left_alone(name: str, tmp_path: Path) -> None:
    """Its thread does not wake up while it has nothing to do."""
    seen = watched(program(name, IDLE), tmp_path)

    assert seen.status == 0, seen.stderr
    # To the end of the wait, and for reading the files.
    assert seen.said["loop"] <= 8


BUSY = """
import json, time

async def main():
    rounds, since = 0, time.monotonic()
    while time.monotonic() - since < 0.8:
        await asyncio.sleep(0)
        rounds += 1
    spun_s = time.monotonic() - since
    await asyncio.sleep(0.8)
    print(json.dumps({"rounds": rounds, "share": spun_s / (time.monotonic() - since)}))
"""


def test_uvloops_turns_are_counted_and_its_busy_share_is_measured(tmp_path: Path) -> None:
    """Saturated for half of the time, by short turns: no block, and figures that agree with the program's."""
    seen = watched(program("uvloop", BUSY), tmp_path)

    loop = judged_well(seen).loop
    assert all(block.held_ns < 400_000_000 for block in seen.blocks)
    assert loop.turns == pytest.approx(seen.said["rounds"], rel=0.02, abs=50)
    assert loop.busy_ratio == pytest.approx(seen.said["share"], abs=0.08)
    assert (loop.lag_ms.p50, loop.lag_ms.p99) == (None, None)
    assert (loop.untimed, loop.busy_least_ratio) == ("uvloop.Loop", None)


def test_what_cannot_be_measured_of_a_foreign_loop_is_null(tmp_path: Path) -> None:
    """Its turns are not counted, its lag is unknown, and of its busy share a lower bound is known."""
    seen = watched(program("bare", BUSY), tmp_path)

    document = judged_well(seen)
    loop = document.loop
    # Other programs may have had the processors for a while, but 0.8 s of short turns are no block.
    assert all(block.held_ns < 400_000_000 for block in seen.blocks)
    assert (loop.turns, loop.busy_ratio, loop.lag_ms.p50, loop.lag_ms.p99) == (None, None, None, None)
    assert loop.untimed == "__main__.BareLoop"
    assert loop.busy_least_ratio is not None
    assert 0.02 < loop.busy_least_ratio <= seen.said["share"] + 0.08
    if not seen.of(Blocked):  # the machine had a processor for it
        assert loop.lag_ms.max is None
        assert "__main__.BareLoop" in document.run.verdict


BLOCKS = """
import json, time

def pause():
    time.sleep(0.2)

def compute():
    end = time.monotonic() + 0.25
    while time.monotonic() < end:
        pass

async def work(step):
    await asyncio.sleep(0.15)
    since = time.monotonic()
    step()
    return (time.monotonic() - since) * 1e3

async def main():
    sleeper = asyncio.create_task(asyncio.sleep(0.17), name="sleeper")
    paused = await asyncio.create_task(work(pause), name="worker")
    computed = await asyncio.create_task(work(compute), name="worker")
    print(json.dumps({"pause": paused, "compute": computed}))
"""


@pytest.mark.parametrize("name", LOOPS)
def test_blocks_have_their_line_task_length_and_victims(name: str, tmp_path: Path) -> None:
    """A call that waits, and one that computes; a task that was due in the first one waited."""
    seen = watched(program(name, BLOCKS), tmp_path)

    assert seen.status == 0, seen.stderr
    (started,) = seen.of(LoopStarted)
    assert started.mechanism == LOOPS[name][1]
    held = {}
    for block in seen.of(Blocked):
        sample = max(block.samples, key=lambda s: s.count)
        # On a busy machine, the loop may have had no processor at other times.
        if block.ended and sample.task == "worker":
            held[sample.stack[-1].function] = block
    assert held.keys() == {"pause", "compute"}
    for function, block in held.items():
        assert block.held_ns / 1e6 == pytest.approx(seen.said[function], abs=30)
    if name == "uvloop":
        (victim,) = held["pause"].victims
        assert victim.label == "sleeper"
        assert victim.delayed_ns / 1e6 == pytest.approx(seen.said["pause"] - 20, abs=30)


EVENTS = """
import json, os, threading, time

async def main():
    loop, held = asyncio.get_running_loop(), []
    receiver, sender = os.pipe()

    def readable():
        os.read(receiver, 1)
        since = time.monotonic()
        time.sleep(0.12)
        held.append(time.monotonic() - since)

    def send():
        for _ in range(12):
            time.sleep(0.25)
            os.write(sender, b"x")

    loop.add_reader(receiver, readable)
    thread = threading.Thread(target=send)
    thread.start()
    await loop.run_in_executor(None, thread.join)
    await asyncio.sleep(0.2)
    print(json.dumps(held))
"""


def test_every_block_of_an_idle_loop_is_found(tmp_path: Path) -> None:
    """The loop waits undisturbed before each event, takes it at once, and then blocks."""
    seen = watched(program("uvloop", EVENTS), tmp_path)

    assert seen.status == 0, seen.stderr
    ended = [block for block in seen.of(Blocked) if block.ended]
    found = [b for b in ended if any(s.stack[-1].function.endswith("readable") for s in b.samples)]
    assert len(found) == len(seen.said) == 12
    for block, held_s in zip(found, seen.said, strict=True):
        assert block.held_ns / 1e6 == pytest.approx(held_s * 1e3, abs=30)


SOCKETS = """
import json, socket, threading, time

async def main():
    loop, server = asyncio.get_running_loop(), None

    class Echo(asyncio.Protocol):
        def data_received(self, data): pass

    def client():
        time.sleep(0.1)
        for near in nears:
            near.send(b"x\\n")
        socket.create_connection(address).close()

    server = await loop.create_server(Echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    plain = socket.create_connection(address)
    far, near = socket.socketpair()
    reader, _ = await asyncio.open_connection(sock=far)
    other, other_near = socket.socketpair()
    other.setblocking(False)
    nears = [plain, near, other_near]
    reading = asyncio.create_task(reader.readline(), name="reads a stream")
    receiving = asyncio.create_task(loop.sock_recv(other, 10), name="receives")
    await asyncio.sleep(0.1)
    thread = threading.Thread(target=client)
    thread.start()
    time.sleep(0.3)
    await reading
    await receiving
    thread.join()
    host, port = plain.getsockname()
    print(json.dumps({"peer": f"the connection from {host}:{port}"}))
"""


def test_who_waited_for_sockets_under_uvloop_is_named(tmp_path: Path) -> None:
    """Connections by their peer, and tasks that read: since the look at which they were first ready."""
    seen = watched(program("uvloop", SOCKETS), tmp_path)

    assert seen.status == 0, seen.stderr
    assert seen.of(ProbeFailed) == []
    block = max((block for block in seen.of(Blocked) if block.ended), key=lambda block: block.held_ns)
    victims = {victim.label: victim for victim in block.victims}
    assert victims.keys() == {seen.said["peer"], "reads a stream", "receives", "a new connection"}
    assert block.victims_total == 4
    for victim in victims.values():
        assert victim.at_most
        # They came after a third of the block.
        assert 150 < victim.delayed_ns / 1e6 < 260
