"""Processes that are asked to end: what is seen of those that run on, and that nothing else changes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from typing import TypedDict

import pytest

from harness.record.event import Event, ProbeFailed, ProcessExiting, ShutdownStalled
from harness.record.reader import Follower
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.watched import Outcome, outcome, start, watched

# `{register}` gives the process a handler that calls `stop.set()`; `{ends}` is what follows from that.
SERVICE = """
import asyncio, os, signal, sys, threading, time

class Service:
    async def serve(self):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        {register}
        worker = asyncio.create_task(self.stream())
        loop.call_soon(lambda: print("serving", flush=True))  # once this task waits
        await stop.wait()
        print("stopping", flush=True)
        {ends}

    async def drain(self):
        while True:
            await asyncio.sleep(0.05)

    async def stream(self):
        await asyncio.Event().wait()

if {uvloop}:
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(Service().serve())
print("over", flush=True)
"""
OF_THE_LOOP = "loop.add_signal_handler(signal.{name}, stop.set)"
OF_PYTHON = "signal.signal(signal.{name}, lambda *_: loop.call_soon_threadsafe(stop.set))"


class Variant(TypedDict, total=False):
    register: str
    name: str
    uvloop: bool


def service(
    *,
    register: str = OF_THE_LOOP,
    name: str = "SIGTERM",
    ends: str = "await self.drain()",
    uvloop: bool = False,
) -> str:
    if uvloop:
        pytest.importorskip("uvloop")
    return SERVICE.format(register=register.format(name=name), ends=ends, uvloop=uvloop)


def asked(
    program: str, tmp_path: Path, number: int = SIGTERM, *, until: Callable[[Event], bool] | None = None
) -> Outcome:
    """Send the signal once the program serves, and kill it when such an event is in its record."""
    process, folder = start(program, tmp_path)
    assert process.stdout.readline() == "serving\n"
    process.send_signal(number)
    if until is not None:
        follower = Follower(folder.events)
        while not any(until(event) for _, event in follower.new_events()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(SIGKILL)
    seen = outcome(process, folder)
    assert seen.of(ProbeFailed) == []
    return seen


def is_look(event: Event) -> bool:
    return isinstance(event, ShutdownStalled)


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ({}, SIGTERM),
        ({"register": OF_PYTHON}, SIGTERM),
        ({"name": "SIGINT"}, SIGINT),
        ({"uvloop": True}, SIGTERM),
        ({"uvloop": True, "register": OF_PYTHON}, SIGTERM),
    ],
    ids=["loop", "signal.signal", "SIGINT", "uvloop", "uvloop, signal.signal"],
)
def test_a_process_that_runs_on_after_it_was_asked_to_end_is_looked_at(
    how: Variant, number: Signals, tmp_path: Path
) -> None:
    """Its main task comes first, with the line it waits at now and the one it waited at before."""
    seen = asked(service(**how), tmp_path, number, until=is_look)

    look = seen.of(ShutdownStalled)[0]
    main, other = look.waiting
    assert seen.stdout == "stopping\n"
    assert (look.signal, look.pending) == (number.name, 2)
    assert (main.main, main.count, main.coroutine.name) == (True, 1, "Service.serve")
    assert [frame.function for frame in main.coroutine.stack][:2] == ["Service.serve", "Service.drain"]
    assert (other.main, other.coroutine.name) == (False, "Service.stream")
    assert look.before is not None
    assert [frame.function for frame in look.before.stack] == ["Service.serve", "Event.wait"]
    assert look.at_ns - look.asked_ns >= 1e9


@pytest.mark.parametrize(
    ("program", "number"),
    [
        (service(ends="pass"), SIGTERM),
        (service(register=OF_PYTHON, ends="pass"), SIGTERM),
        (service(name="SIGHUP", ends="await asyncio.sleep(1.5)"), SIGHUP),
    ],
    ids=["ends at once", "ends at once, signal.signal", "another signal"],
)
def test_a_process_that_ends_or_was_asked_something_else_is_not_looked_at(
    program: str, number: int, tmp_path: Path
) -> None:
    """It ends as it would have, and nothing is in its record."""
    seen = asked(program, tmp_path, number)

    assert (seen.status, seen.stdout) == (0, "stopping\nover\n")
    assert seen.of(ShutdownStalled) == []
    assert seen.of(ProcessExiting) == []
    assert all(source.closed for source in seen.sources)


def test_a_thread_that_python_waits_for_is_seen(tmp_path: Path) -> None:
    """The loop is over: there are no tasks, but the thread with its stack, and where the main thread is."""
    ends = "threading.Thread(target=self.drain_in_thread, name='drain').start()"
    method = "    def drain_in_thread(self):\n        time.sleep(60)\n\n    async def drain"
    program = service(ends=ends).replace("    async def drain", method)
    seen = asked(program, tmp_path, until=is_look)

    look = seen.of(ShutdownStalled)[0]
    assert (look.pending, look.waiting) == (0, ())
    assert [(lasting.thread, lasting.stack[-1].function) for lasting in look.threads] == [
        ("drain", "Service.drain_in_thread")
    ]
    assert "_shutdown" in [frame.function for frame in look.stack]


def test_a_process_that_leaves_without_a_word_says_so(tmp_path: Path) -> None:
    """`os._exit` after it was asked to end is an end of its own."""
    seen = asked(service(ends="os._exit(3)"), tmp_path)

    assert seen.status == 3
    assert len(seen.of(ProcessExiting)) == 1


HANDLERS = """
import asyncio, inspect, os, pickle, signal, sys, threading, traceback

def early(number, frame):
    print("early", signal.Signals(number).name, frame.f_code.co_name)

class Stop(Exception):
    pass

def stop(number, frame):
    print("stack", [f.name for f in traceback.extract_stack(frame)][-2:])
    raise Stop(number)

def named(handler):
    return getattr(handler, "__qualname__", type(handler).__name__)

async def main():
    assert signal.getsignal(signal.SIGTERM) is early
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.signal(signal.SIGTERM, stop) is early
    assert signal.getsignal(signal.SIGTERM) is stop
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Stop as exc:
        print("raised", exc, [f.name for f in traceback.extract_tb(exc.__traceback__)])
    print(named(signal.getsignal(signal.SIGINT)))
    print(named(signal.signal(signal.SIGINT, signal.default_int_handler)), signal.getsignal(signal.SIGINT))
    print(signal.signal(signal.SIGTERM, signal.SIG_IGN) is stop, repr(signal.getsignal(signal.SIGTERM)))
    os.kill(os.getpid(), signal.SIGTERM)
    print(repr(signal.signal(signal.SIGTERM, signal.SIG_DFL)), repr(signal.getsignal(signal.SIGTERM)))
    for wrong in (lambda: signal.signal(signal.SIGTERM, "x"), lambda: signal.signal(9999, stop)):
        try:
            wrong()
        except (TypeError, ValueError) as exc:
            print(repr(exc), [f.name for f in traceback.extract_tb(exc.__traceback__)])
    def elsewhere():
        try:
            signal.signal(signal.SIGTERM, stop)
        except ValueError as exc:
            print(exc, [f.name for f in traceback.extract_tb(exc.__traceback__)])
    await asyncio.to_thread(elsewhere)
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    print(named(signal.getsignal(signal.SIGTERM)))
    signal.raise_signal(signal.SIGTERM)
    await heard.wait()
    print(loop.remove_signal_handler(signal.SIGTERM), repr(signal.getsignal(signal.SIGTERM)))

signal.signal(signal.SIGTERM, early)
asyncio.run(main())
print(inspect.signature(signal.signal), inspect.signature(signal.getsignal), signal.signal.__doc__)
print(pickle.loads(pickle.dumps(signal.signal)) is signal.signal)
print(signal.signal.__module__, signal.signal.__qualname__)
"""


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_program_sees_its_own_handlers_alone(version: str, tmp_path: Path) -> None:
    """What it registers, gets back, raises and is told of a mistake is the same, and so is every stack."""
    python = needs_python(version)
    seen = watched(HANDLERS, tmp_path, python=python)
    alone = subprocess.run([python, "program.py"], cwd=tmp_path, capture_output=True, text=True)

    assert seen.of(ProbeFailed) == []
    assert (seen.status, seen.stderr) == (alone.returncode, alone.stderr) == (0, "")
    assert seen.stdout == alone.stdout


def test_a_handler_from_before_asyncio_was_imported_is_heard(tmp_path: Path) -> None:
    """It was registered when nothing of the probe was there."""
    program = f"""
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
{service(register="", ends="")}
"""
    seen = asked(program, tmp_path, until=is_look)

    look = seen.of(ShutdownStalled)[0]
    assert look.before == look.waiting[0].coroutine


RELEASED = """
import asyncio, os, signal, weakref

async def main():
    stop = asyncio.Event()
    {register}
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    await stop.wait()
    return weakref.ref(asyncio.current_task())

print(asyncio.run(main())() is None)
"""


@pytest.mark.parametrize("register", [OF_THE_LOOP, OF_PYTHON], ids=["loop", "signal.signal"])
def test_the_main_task_is_freed_at_its_end_after_the_signal(register: str, tmp_path: Path) -> None:
    """It is not kept until the probe looks where it waited."""
    loop = "loop = asyncio.get_running_loop(); "
    seen = watched(RELEASED.format(register=loop + register.format(name="SIGTERM")), tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "True\n", "")
