"""A fault is one value; a new kind is one file, which scenario, runner, console and probe accept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import pytest

from harness.record.event import Event, FaultUndone
from harness.record.fault import catalogue
from harness.record.fault.fault import Fault
from harness.record.reader import Follower
from tests.support.commanded import wait
from tests.support.consoled import Consoled, consoled

E = TypeVar("E", bound=Event)

KIND = '''
    """`note.write`: a call that writes."""

    import functools
    from dataclasses import dataclass
    from pathlib import Path

    from ..catalogue import Effect, parameter


    @dataclass(frozen=True, slots=True)
    class NoteWrite:
        """The call writes into a file first."""

        shows = "a file"

        note_lines: int = parameter(int, "How many.", above=0, typical=2)
        file: str = parameter(str, "Where to.", default="notes.txt")

        def describe(self):
            return f"{self.note_lines} lines into {self.file}"

        def prepare(self, resolve):
            return Effect(functools.partial(Path(self.file).write_text, "line\\n" * self.note_lines))


    KIND = NoteWrite
'''
# The probe's own copy of the family, in the target.
PROGRAM = """
    import asyncio, sys, time
    from _harness_inside.record.fault import kinds
    kinds.__path__.append({folder!r})

    def work(): ...

    own_code = work.__code__

    async def main():
        print("ready", flush=True)
        if "until-healed" not in sys.argv:
            loop = asyncio.get_running_loop()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                exec(line)
        deadline, injected = time.monotonic() + 30, False
        while time.monotonic() < deadline and not (injected and work.__code__ is own_code):
            injected = injected or work.__code__ is not own_code
            work()
            await asyncio.sleep(0.01)

    asyncio.run(main())
"""
LAUNCHER = """
    import sys
    from harness.record.fault import kinds
    kinds.__path__.append({folder!r})
    from harness.commands.main import main
    main()
"""
SCENARIO = """
    [target]
    kind = "program"
    command = ["python", "program.py", "until-healed"]
    ready = { log = "ready" }
    [[faults]]
    id = "noted"
    kind = "note.write"
    in = "__main__:work"
    note_lines = 3
    limit = 2
    for_s = 0.5
"""


Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The new kind in a folder of its own, and a program whose probe knows that folder."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "note_write.py").write_text(dedent(KIND))
    return dedent(PROGRAM.format(folder=str(folder)))


@pytest.fixture
def run(tmp_path: Path, program: str) -> Run:
    """Runs a scenario with a harness that knows the new kind, too."""
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "launch.py").write_text(dedent(LAUNCHER.format(folder=str(tmp_path / "kinds"))))

    def run(scenario: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "noted.toml").write_text(dedent(scenario))
        command = [sys.executable, "launch.py", "run", "noted.toml", "--out", "run", "--json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def test_a_new_kind_acts_in_a_scenario_and_is_undone(run: Run, tmp_path: Path) -> None:
    """The scenario accepts its parameters, the target acts, and the report has its description."""
    done = run(SCENARIO)

    assert done.returncode == 0, done.stderr
    (fault,) = json.loads(done.stdout)["faults"]
    assert (fault["kind"], fault["injected"], fault["undone"], fault["fired"]) == (
        "note.write",
        True,
        True,
        2,
    )
    assert fault["detail"] == "3 lines into notes.txt in __main__:work, at most 2 times"
    assert (tmp_path / "notes.txt").read_text() == "line\n" * 3


@pytest.mark.long
def test_the_place_that_computes_because_of_a_fault_is_blamed(run: Run) -> None:
    """Not the code of the fault, which is the innermost frame."""
    done = run(SCENARIO.replace("note.write", "block.cpu").replace("note_lines = 3", "block_ms = 300"))

    blocks = [block for block in json.loads(done.stdout)["blocks"] if block["fault"] == "noted"]
    assert {block["function"] for block in blocks} == {"work"}


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('"note.write"', '"note.wirte"', 'kind: unknown kind "note.wirte"; did you mean note.write?'),
        ("note_lines = 3", "", "note_lines: missing; expected a whole number > 0"),
        ("note_lines = 3", "note_lines = 0", "note_lines: expected a whole number > 0, got 0"),
    ],
)
def test_what_a_scenario_has_wrong_about_a_new_kind_is_named(
    run: Run, was: str, becomes: str, message: str
) -> None:
    """As about any other kind."""
    done = run(SCENARIO.replace(was, becomes))

    assert done.returncode == 2
    assert f"faults.0.{message}" in done.stderr


def test_a_new_kind_is_listed_injected_and_healed_in_the_console(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list has its line, `help` its options, and a typical value stands in for one that is not given."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with consoled(tmp_path, program=program, allow=("chaos", "repl")) as running:
        listed = running.ask("faults")
        helped = " ".join(running.ask("help faults").split())
        refused = running.request("faults inject note.write --in __main__:work --note-lines 0")
        injected = running.ask("faults inject note.write --in __main__:work --times 1")
        running.do("work()")
        notes = wait(lambda: (tmp_path / "notes.txt").exists() and (tmp_path / "notes.txt").read_text())
        running.ask("faults heal")
        own = running.ask("repl work.__code__ is own_code")
        undone = wait(lambda: running.events(FaultUndone))

    assert "  note.write: the call writes into a file first: note_lines, file\n" in listed
    assert "--note-lines LINES note.write: how many [2]" in helped
    assert "--file TEXT note.write: where to [notes.txt]" in helped
    assert (refused["status"], refused["text"]) == ("refused", "note_lines is a finite number above 0")
    assert "2 lines into notes.txt in __main__:work, at most 1 time, for 30 s" in injected
    assert notes == "line\n" * 2
    assert own == "True"
    assert [event.fired for event in undone] == [1]


def of(running: Consoled, kind: type[E]) -> list[E]:
    return [event for _, event in Follower(running.folder.events).new_events() if isinstance(event, kind)]


@pytest.mark.parametrize("kind", catalogue.names())
def test_a_fault_is_the_same_at_both_ends_of_a_request(kind: str) -> None:
    """Whatever its kind; the request is JSON."""
    parameters = catalogue.parameters(catalogue.find(kind))
    given = {name: one.typical if one.default is ... else one.default for name, one in parameters.items()}
    fault = Fault("a", kind, "shop:total", catalogue.find(kind)(**given), probability=0.5, limit=3)

    assert Fault.from_request(json.loads(json.dumps(fault.to_request()))) == fault


def test_a_fault_is_described_in_one_line() -> None:
    """What happens, where, and how often when that is not always."""
    request = {"id": "a", "in": "shop:total"}
    sleep = Fault.from_request({**request, "kind": "block.sleep", "block_ms": 300.0})
    cpu = Fault.from_request({**request, "kind": "block.cpu", "block_ms": 20.5, "probability": 0.015})
    fail = Fault.from_request({**request, "kind": "call.fail", "limit": 3})

    assert sleep.describe() == "time.sleep(0.3) in shop:total"
    assert cpu.describe() == "20.5 ms of computing in shop:total, 1.5 % of the calls"
    assert fail.describe() == "raises ConnectionError in shop:total, at most 3 times"


def test_an_unknown_kind_is_refused() -> None:
    """Also one that would be a module somewhere else."""
    for kind in ("earthquake", "", "..event", "block/sleep"):
        with pytest.raises(ValueError, match="no fault of the kind"):
            catalogue.find(kind)
