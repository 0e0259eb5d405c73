"""Commands that change something: their effects, their refusals, and that they are undone."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record.event import (
    ArtefactWritten,
    CallsCounted,
    ConsoleAudited,
    FaultFired,
    FaultInjected,
    FaultUndone,
    ProbeFailed,
)
from harness.record.probe_config import PERMISSIONS
from tests.support.commanded import wait
from tests.support.console_programs import done, refused
from tests.support.consoled import Consoled, consoled, is_alive

PROGRAM = """
    import asyncio, logging, os, signal, sys, threading, time

    log = logging.getLogger("shop")
    kept = []

    def fetch(n=0):
        return n

    own_code = fetch.__code__

    def burn(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def hoard():
        kept.append(bytearray(200_000))

    async def patient():
        await asyncio.sleep(3600)

    async def stubborn():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def clumsy():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError("cannot let go") from None

    async def forgiving():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "done"

    async def busy():
        while True:
            burn(0.01)
            await asyncio.sleep(0.005)

    def start(*coroutines):
        tasks.update(asyncio.create_task(made(), name=made.__name__) for made in coroutines)

    tasks = set()

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: print("USR1", flush=True))
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line)

    RUN
"""


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None
) -> Iterator[Consoled]:
    """One program for all tests of the module; its console has every permission."""
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=PROGRAM, loop=request.param, allow=PERMISSIONS) as running:
        yield running
        # No test made the probe itself fail.
        assert running.events(ProbeFailed) == []


def python(service: Consoled, expression: str) -> str:
    """The value of an expression, evaluated on the service's loop."""
    return str(service.ask(f"repl {expression}"))


# --- cancel -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "outcome", "told"),
    [
        ("patient", "cancelled", "was cancelled"),
        ("clumsy", "failed", "failed instead of being cancelled: ValueError: cannot let go"),
        ("forgiving", "finished", "swallowed its cancellation and finished"),
    ],
)
def test_what_became_of_a_cancelled_task_is_told(
    service: Consoled, name: str, outcome: str, told: str
) -> None:
    """The answer says whether the task was cancelled, failed, or swallowed its cancellation."""
    done(service, f"start({name})")
    number = service.ask(f"ps --filter task={name} --json")["rows"][0]["id"]
    answer = service.ask(f"cancel {number} --message enough --json")
    assert (answer["task"], answer["name"], answer["outcome"]) == (number, name, outcome)

    done(service, f"start({name})")
    assert told in service.ask(f"cancel {name}")


def test_a_task_that_swallows_its_cancellation_is_told(service: Consoled) -> None:
    """After two seconds the command fails, and says where the task still runs."""
    done(service, "start(stubborn)")
    answer = service.request("cancel stubborn")

    assert (answer["ok"], answer["status"]) == (False, "failed")
    assert "still runs 2 s after its cancellation: it swallows it" in answer["text"]
    assert "program.py:" in answer["text"]
    assert "stubborn" in answer["text"].partition("program.py:")[2]


def test_a_held_loop_is_named_and_the_cancellation_is_not_delivered_later(service: Consoled) -> None:
    """On a blocked loop, `cancel` is refused with the blocking frame, and the task is not cancelled later."""
    done(service, "start(patient)")
    service.do("time.sleep(2.5)")
    wait(lambda: service.ask("status --json")["late"])
    why = refused(service, "cancel patient")
    assert is_alive(service)

    assert "the loop did not run it within 1 s" in why
    assert "program.py" in why
    assert service.ask("ps --filter task=patient --json")["total"] == 1
    assert "was cancelled" in service.ask("cancel patient")


def test_there_must_be_such_a_task(service: Consoled) -> None:
    """`cancel` refuses a name that no task has."""
    assert "no pending task has the number or name 'nobody'" in refused(service, "cancel nobody")


# --- signal -------------------------------------------------------------------------------------------


def test_a_signal_reaches_its_handler(service: Consoled) -> None:
    """The program's handler on the loop runs; before that the client is told which handler there is."""
    answer = service.request("signal USR1")

    assert service.process.stdout.readline() == "USR1\n"
    assert answer["said"][0].startswith(f"sending SIGUSR1 to process {service.process.pid}: handled")
    effects = {row["signal"]: row["effect"] for row in service.ask("signal --json --limit 0")["rows"]}
    assert effects["SIGTERM"] == "default: ends the process"
    assert effects["SIGUSR1"].startswith("handled")


def test_what_leaves_no_chance_needs_force(service: Consoled) -> None:
    """KILL and STOP are refused without --force, unknown signals always; the service lives on."""
    assert "--force" in refused(service, "signal kill")
    assert "--force" in refused(service, "signal SIGSTOP")
    assert "no signal named NOPE" in refused(service, "signal NOPE")
    assert is_alive(service)


def test_a_signal_may_end_the_service(tmp_path: Path) -> None:
    """A client that ends the service still receives the effect of the signal."""
    with consoled(tmp_path, program=PROGRAM, allow=("signal",)) as running:
        with running.connect() as client:
            client.send("signal TERM\n")
            said = client.rest().decode()

        assert running.process.wait(10) == -signal.SIGTERM
        assert "default: ends the process" in said


# --- faults -------------------------------------------------------------------------------------------


def test_an_injected_fault_acts_and_is_healed(service: Consoled) -> None:
    """The function fails until the fault is healed; injection, effects and healing are in the record."""
    fault = service.ask("faults inject call.fail --in __main__:fetch --raises builtins:OSError --json")["id"]
    failing = service.request("repl fetch(7)")["text"]
    listed = service.ask("faults --json")["rows"]
    assert python(service, "fetch.__code__ is own_code") == "False"
    healed = service.ask("faults heal")

    assert failing.endswith("OSError: injected fault")
    assert [(row["id"], row["kind"], row["place"], row["fired"]) for row in listed] == [
        (fault, "call.fail", "__main__:fetch", 1)
    ]
    assert 0 < listed[0]["left_s"] <= 30
    assert fault in healed
    assert python(service, "fetch(7)") == "7"
    wait(lambda: [event for event in service.events(FaultUndone) if event.id == fault])
    assert [event.kind for event in service.events(FaultInjected) if event.id == fault] == ["call.fail"]
    assert [event.fired for event in service.events(FaultUndone) if event.id == fault] == [1]
    assert len([event for event in service.events(FaultFired) if event.id == fault]) == 1


def test_a_scripts_own_name_is_the_program_that_runs(service: Consoled) -> None:
    """The script is not imported a second time; neither is a module that is not loaded."""
    assert "in program:fetch" in service.ask("faults inject call.fail --in program:fetch")
    failing = service.request("repl fetch(7)")["text"]
    service.ask("faults heal")
    why = refused(service, "faults inject call.fail --in wsgiref.simple_server:make_server")

    assert failing.endswith("ConnectionError: injected fault")
    assert python(service, "'program' in sys.modules, fetch(7)") == "(False, 7)"
    assert "the program has not imported wsgiref.simple_server" in why
    assert python(service, "'wsgiref' in sys.modules") == "False"


def test_a_fault_that_has_hit_as_often_as_it_may_is_used_up(service: Consoled) -> None:
    """It is listed until it is healed, and not as one in force; the calls go on being counted."""
    fault = service.ask("faults inject call.fail --in __main__:fetch --times 1 --json")["id"]
    failing = service.request("repl fetch(7)")["text"]
    assert python(service, "fetch(7)") == "7"
    listed = service.ask("faults --json")["rows"]
    text, status = service.ask("faults"), service.ask("status")
    service.ask("faults heal")

    assert failing.endswith("ConnectionError: injected fault")
    assert [(row["id"], row["calls"], row["fired"], row["state"]) for row in listed] == [
        (fault, 2, 1, "used up")
    ]
    assert text.startswith("no faults in force")
    assert f"fault: {fault} in __main__:fetch, fired 1 time, used up" in status


def test_a_fault_stops_by_itself(service: Consoled) -> None:
    """After its time no fault is in force, and the function is the program's own again."""
    service.ask("faults inject block.sleep --in __main__:fetch --block-ms 1 --for 300ms")
    assert service.ask("faults --json")["total"] == 1

    wait(lambda: service.ask("faults --json")["total"] == 0)
    assert python(service, "fetch.__code__ is own_code") == "True"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("faults inject call.fail --in __main__:nothing", "__main__ has no nothing"),
        ("faults inject earthquake --in __main__:fetch", "one of block.cpu, block.gil_c, "),
        ("faults inject block.cpu", "--in MODULE:NAME"),
        ("faults heal scenario-1", "has not injected scenario-1"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(service: Consoled, line: str, why: str) -> None:
    """An impossible fault is refused, and none is in force afterwards."""
    assert why in refused(service, line)
    assert service.ask("faults --json")["total"] == 0


# --- log and debug ------------------------------------------------------------------------------------


def level_of(service: Consoled) -> str:
    return python(service, "log.level")


def test_a_log_level_goes_back_by_itself(service: Consoled) -> None:
    """A level is changed for its time only; the loggers can be listed."""
    told = service.ask("log DEBUG shop --for 500ms")
    assert told.startswith("shop: DEBUG instead of NOTSET, for 0.5 s")
    assert "it has no handler" in told
    assert level_of(service) == "10"
    rows = service.ask("log --json --limit 0")["rows"]
    assert [(row["level"], row["effective"]) for row in rows if row["logger"] == "shop"] == [
        ("DEBUG", "DEBUG")
    ]

    wait(lambda: level_of(service) == "0")


def test_a_log_level_can_be_reset_and_changed_again(service: Consoled) -> None:
    """A second change replaces the first; a reset restores the level from before both."""
    service.ask("log DEBUG shop")
    service.ask("log error shop")
    assert level_of(service) == "40"
    service.ask("log reset shop")

    assert level_of(service) == "0"
    assert "has not changed shop" in refused(service, "log reset shop")


def test_a_level_that_somebody_else_has_set_stays(service: Consoled) -> None:
    """A later change by the program itself is not undone."""
    service.ask("log DEBUG shop")
    done(service, "log.setLevel(30)")
    service.ask("log reset shop")

    assert level_of(service) == "30"
    done(service, "log.setLevel(0)")


def test_there_must_be_such_a_logger_and_level(service: Consoled) -> None:
    """Unknown loggers and levels are refused, and no logger is made."""
    assert "no logger named shopp" in refused(service, "log DEBUG shopp")
    assert "no level LOUD" in refused(service, "log LOUD shop")
    assert python(service, "'shopp' in logging.root.manager.loggerDict") == "False"


def test_debug_mode_goes_off_by_itself(service: Consoled) -> None:
    """The loop is in debug mode with the given limit for the given time, then as before."""
    state = "(lambda l: (l.get_debug(), l.slow_callback_duration))(asyncio.get_running_loop())"
    service.ask("debug on --for 700ms --slow-ms 250")
    assert python(service, state) == "(True, 0.25)"
    assert "is on already" in refused(service, "debug on")

    wait(lambda: python(service, state) == "(False, 0.1)")
    assert "has not switched it on" in refused(service, "debug off")


def test_debug_mode_can_be_switched_off(service: Consoled) -> None:
    """`debug off` switches debug mode off at once."""
    assert service.ask("debug on --json")["debug"] is True
    service.ask("debug off")

    wait(lambda: service.ask("debug --json")["debug"] is False)


# --- gc and memory ------------------------------------------------------------------------------------


def test_a_collection_says_how_long_it_held_the_process(service: Consoled) -> None:
    """`gc collect` reports its duration and the unreachable objects, `gc` the collector's statistics."""
    done(service, "import gc; gc.collect(); [(lambda x: x.append(x))([]) for _ in range(50)]")
    answer = service.ask("gc collect --json")
    stats = service.ask("gc --json")

    assert answer["unreachable"] >= 1
    assert 0 < answer["held_ms"] < 10_000
    assert [row["generation"] for row in stats["rows"]] == [0, 1, 2]
    assert stats["enabled"] is True


def test_the_line_that_allocates_is_named(service: Consoled) -> None:
    """The line that allocated most of what is still held comes first; tracing has ended by then."""
    service.do("asyncio.get_running_loop().call_later(0.4, hoard)")
    answer = service.ask("memory --for 1s --json")

    hoarding = next(n for n, text in enumerate(PROGRAM.splitlines(), 1) if "bytearray" in text)
    first = answer["rows"][0]
    assert first["place"] == f"program.py:{hoarding}"
    assert first["held_bytes"] >= 200_000
    assert answer["rss_bytes"] > 1_000_000
    assert python(service, "__import__('tracemalloc').is_tracing()") == "False"


def test_a_programs_own_tracing_is_left_alone(service: Consoled) -> None:
    """If the program traces allocations itself, `memory` is refused and does not stop it."""
    done(service, "import tracemalloc; tracemalloc.start()")
    assert "tracemalloc is on already" in refused(service, "memory --for 1s")

    assert python(service, "__import__('tracemalloc').is_tracing()") == "True"
    done(service, "import tracemalloc; tracemalloc.stop()")


def test_a_client_that_leaves_ends_its_tracing(service: Consoled) -> None:
    """Tracing ends when its client disconnects."""
    with service.connect() as client:
        client.wait_for("> ")
        client.send("memory --for 60s\n")
        client.wait_for("tracing allocations")
        wait(lambda: python(service, "__import__('tracemalloc').is_tracing()") == "True")

    wait(lambda: python(service, "__import__('tracemalloc').is_tracing()") == "False")


# --- profile and record -------------------------------------------------------------------------------


def test_a_profile_names_the_line_that_computes(service: Consoled) -> None:
    """Nearly all samples of a computing loop are in the line that computes."""
    done(service, "start(busy)")
    answer = service.ask("profile for 1s --format collapsed --json")
    service.ask("cancel busy")

    shares: Counter[str] = Counter()
    for line in Path(answer["path"]).read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        shares[stack.split(";")[-1].split(" ")[0]] += int(count)
    assert shares["burn"] / shares.total() > 0.8, shares
    path = answer["path"].removeprefix(f"{service.folder.path}/")
    wait(lambda: path in [event.path for event in service.events(ArtefactWritten)])


def test_a_profile_can_be_started_and_stopped(service: Consoled) -> None:
    """One profile runs at a time; its file is written at the announced path."""
    path = service.ask("profile start 30s --format speedscope --json")["path"]
    assert "is in force already" in refused(service, "profile for 1s")
    assert service.ask("profile stop --json")["path"] == path

    assert json.loads(Path(path).read_text())["profiles"][0]["type"] == "sampled"
    assert "no profile is running" in refused(service, "profile stop")
    assert python(service, "[s for s in range(34, 65) if signal.getsignal(s)]") == "[]"


def test_a_profile_that_nobody_stops_ends_by_itself(service: Consoled) -> None:
    """A profile that is not stopped ends after its time, and its file is written."""
    path = service.ask("profile start 400ms --json")["path"]

    wait(lambda: service.ask("profile --json")["path"] is None)
    wait(Path(path).exists)
    assert "samples of the busy loop" in Path(path).read_text()


def test_pyinstrument_profiles_the_loops_thread(service: Consoled) -> None:
    """With pyinstrument installed, there is a call tree; its profiler is removed afterwards."""
    pytest.importorskip("pyinstrument")
    done(service, "start(busy)")
    text = service.ask("profile for 700ms --kind pyinstrument --format text")
    page = service.ask("profile for 200ms --kind pyinstrument --json")["path"]
    service.ask("cancel busy")

    assert "burn" in text
    assert "<html" in Path(page).read_text()
    assert python(service, "sys.getprofile()") == ""
    assert "not collapsed" in refused(service, "profile for 1s --kind pyinstrument --format collapsed")


def test_a_window_keeps_the_synchronous_calls(service: Consoled) -> None:
    """Calls within the window are in the record with their line; earlier and later ones are not."""

    def sleeps() -> dict[str, int]:
        return {
            event.argument: event.count
            for event in service.events(CallsCounted)
            if event.call == "time.sleep"
        }

    done(service, "time.sleep(0.001)")
    service.ask("record for 30s")
    done(service, "time.sleep(0.002)")
    assert "window is open" in service.ask("record")
    service.ask("record stop")
    done(service, "time.sleep(0.003)")
    service.ask("record for 30s")
    done(service, "time.sleep(0.002)")
    service.ask("record stop")

    wait(lambda: sleeps() == {"0.002": 2})
    assert python(service, "type(time.sleep).__name__") == "'builtin_function_or_method'"
    assert python(service, "sys.get_coroutine_origin_tracking_depth()") == "0"
    assert "no window is open" in refused(service, "record stop")


def test_a_window_closes_by_itself(service: Consoled) -> None:
    """After its time the functions are the original ones again."""
    service.ask("record for 300ms")
    assert python(service, "type(time.sleep).__name__") != "'builtin_function_or_method'"

    wait(lambda: python(service, "type(time.sleep).__name__") == "'builtin_function_or_method'")


# --- what is written down, and what is not allowed ------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("cancel patient", "cancel"),
        ("signal USR1", "signal"),
        ("faults inject call.fail --in __main__:fetch", "chaos"),
        ("faults heal", "chaos"),
        ("repl 1", "repl"),
        ("debug on", "slow"),
        ("debug off", "slow"),
        ("log DEBUG shop", "slow"),
        ("gc collect", "slow"),
        ("memory --for 1s", "slow"),
        ("profile for 1s", "slow"),
        ("record for 1s", "slow"),
        ("aiomonitor cancel 1", "cancel"),
        ("aiomonitor ca 1", "cancel"),
        ("aiomonitor signal USR1", "signal"),
        ("aiomonitor console", "repl"),
        ("aiomonitor -- cancel 1", "expected one of aiomonitor's commands first"),
    ],
)
def test_a_console_that_only_reads_does_none_of_it(read_only: Consoled, line: str, needs: str) -> None:
    """Each refusal names the missing permission."""
    assert needs in refused(read_only, line)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None) -> Iterator[Consoled]:
    with consoled(tmp_path_factory.mktemp("service"), program=PROGRAM) as running:
        yield running


@pytest.fixture(scope="module")
def slowed(tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None) -> Iterator[Consoled]:
    with consoled(tmp_path_factory.mktemp("service"), program=PROGRAM, allow=("slow",)) as running:
        yield running


@pytest.mark.parametrize(
    ("line", "cost"),
    [
        ("debug on --for 100ms", "a turn that does little takes up to twenty times as long"),
        ("log DEBUG shop --for 100ms", "each further log record is formatted and written"),
        ("gc collect", "every thread of the process is stopped"),
        ("memory --for 50ms", "each is slower, and the end stops every thread"),
        ("profile for 50ms", "the busy loop's thread stops for some microseconds"),
        ("record for 50ms", "takes some microseconds longer"),
    ],
)
def test_what_slows_the_program_says_so_before_it_begins(slowed: Consoled, line: str, cost: str) -> None:
    """The cost is the first line of the answer, ahead of the result."""
    with slowed.connect() as client:
        client.send(json.dumps({"line": line, "talks": True}) + "\n")
        shown = client.wait_for(cost)

    assert shown.count("\n") <= 1, "something came before it"


def test_what_changes_something_is_in_the_record(tmp_path: Path) -> None:
    """Commands that change something are recorded; those that read are not."""
    with consoled(tmp_path, program=PROGRAM, allow=("slow",)) as service:
        for line in ("log DEBUG shop --for 100ms", "debug", "gc", "gc collect", "faults", "log", "memory"):
            service.ask(line)

        def lines() -> list[str] | None:
            done = [event.line for event in service.events(ConsoleAudited) if event.outcome == "done"]
            return done if "gc collect" in done else None

        assert wait(lines) == ["log DEBUG shop --for 100ms", "gc collect"]
