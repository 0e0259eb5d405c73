"""What an injected fault does to calls: which it hits, how it counts them, and when it comes and goes."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.probe.control.faults import FaultInjector
from harness.record.event import Event, FaultFired
from harness.record.fault import tally
from harness.record.fault.board import FaultBoard
from harness.record.hidden_thread import Background

MODULE = "faulty_of_test"  # changed for each test: functions of another one may still be about


class InjectedError(Exception):
    """What the faults of these tests raise."""


class Process:
    """The injector of one process, and what it writes."""

    def __init__(self, control: Path, number: int = 0) -> None:
        self.events: list[Event] = []
        self.errors: list[tuple[str, BaseException]] = []
        self.injector = FaultInjector(
            self.events.append,
            on_error=lambda where, exc: self.errors.append((where, exc)),
            control=control,
            number=number,
        )

    def inject(self, fault_id: str = "a", **more: object) -> dict[str, Any]:
        return self.injector.inject(request(fault_id, **more))


def request(fault_id: str = "a", **more: object) -> dict[str, Any]:
    raises = f"{__name__}:InjectedError"
    return {"id": fault_id, "kind": "call.fail", "in": f"{MODULE}:f", "raises": raises, **more}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.injector.heal_all()
    assert made.errors == []


@pytest.fixture
def import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Imports the module whose function is to fail; nobody has done so yet."""
    monkeypatch.setattr(sys.modules[__name__], "MODULE", f"faulty_{tmp_path.name}")
    (tmp_path / f"{MODULE}.py").write_text("def f(): return 1\nown = f.__code__\nheld = [f]\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda: importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)


@pytest.fixture
def f(import_it: Callable[[], Any]) -> Callable[[], int]:
    """The function."""
    found: Callable[[], int] = import_it().f
    return found


def hits(f: Callable[[], object], calls: int) -> list[int]:
    """The numbers of those calls that failed."""
    failed = []
    for number in range(calls):
        try:
            f()
        except InjectedError:
            failed.append(number)
    return failed


def test_the_seed_and_the_number_of_the_process_decide_which_calls_are_hit(
    f: Callable[[], object], tmp_path: Path
) -> None:
    """The same twice; another seed or another process of the run hits others."""
    sequences = []
    for seed, number in ((1, 0), (1, 0), (2, 0), (1, 1)):
        process = Process(tmp_path, number)
        process.inject(probability=0.3, seed=seed)
        sequences.append(hits(f, 200))
        process.injector.heal({"id": "a"})

    first, again, *others = sequences
    assert first == again
    assert 30 < len(first) < 90
    assert first not in others
    assert others[0] != others[1]


def test_calls_and_hits_are_counted_and_stay_when_the_process_is_gone(
    process: Process, f: Callable[[], object], tmp_path: Path
) -> None:
    """In files that the runner adds up over all processes."""
    other = Process(tmp_path, 1)
    process.inject(limit=2)
    hits(f, 5)
    (listed,) = process.injector.in_force({})["faults"]
    healed = process.injector.heal({"id": "a"})
    hits(f, 5)
    other.inject()
    hits(f, 3)
    other.injector.heal_all()

    assert (listed["calls"], listed["fired"], listed["used_up"]) == (5, 2, True)
    assert healed == {"fired": 2, "calls": 5}
    assert tally.read(tmp_path, "a") == tally.Tally(processes=2, calls=8, fired=5)
    assert tally.read(tmp_path, "b") == tally.Tally(0, 0, 0)
    assert [type(event) for event in process.events] == [FaultFired] * 2


def test_a_limit_holds_for_all_threads_together(process: Process, f: Callable[[], object]) -> None:
    """However they interleave."""
    process.inject(limit=7)
    failed: list[int] = []
    threads = [threading.Thread(target=lambda: failed.append(len(hits(f, 2000)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(failed) == 7
    assert process.injector.heal({"id": "a"}) == {"fired": 7, "calls": 8000}


def test_the_probes_own_threads_are_not_hit(process: Process, f: Callable[[], object]) -> None:
    """A fault in a function that the probe uses, too, does not break the probe."""
    process.inject()
    failed: list[int] = []
    Background(lambda: failed.append(len(hits(f, 3)))).join()

    assert failed == [0]
    assert process.injector.heal({"id": "a"})["calls"] == 0


def test_an_error_of_the_probe_ends_the_fault_and_does_not_reach_the_program(
    tmp_path: Path, f: Callable[[], object]
) -> None:
    """The function has its own code again."""

    def write(event: Event) -> None:
        raise ValueError("no record")

    injector = FaultInjector(write, on_error=lambda where, exc: None, control=tmp_path)
    own = sys.modules[MODULE].own
    injector.inject(request())
    assert sys.modules[MODULE].f.__code__ is not own

    assert hits(f, 3) == []
    assert sys.modules[MODULE].f.__code__ is own
    assert injector.heal({"id": "a"})["calls"] == 1


def test_a_fault_waits_for_the_import_of_its_module(process: Process, import_it: Callable[[], Any]) -> None:
    """Only if it is asked to; until then nothing is imported, and afterwards no finder stays."""
    finders = list(sys.meta_path)
    with pytest.raises(LookupError, match=f"has not imported {MODULE}"):
        process.inject()
    assert process.injector.find(request()) == {
        "found": False,
        "importable": True,
        "why": f"the program has not imported {MODULE}",
    }
    assert process.inject(wait=True) == {"planted": False}
    assert process.inject(wait=True) == {"planted": False}
    assert MODULE not in sys.modules

    module = import_it()
    assert sys.meta_path == finders
    assert hits(module.held[0], 2) == [0, 1]
    assert process.inject(wait=True) == {"planted": True}
    process.injector.heal({"id": "a"})
    assert module.f.__code__ is module.own


def test_a_module_that_another_thread_is_importing_gets_the_fault_afterwards(
    process: Process, import_it: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request comes in the middle of the import, when neither a hook nor the function could be found."""
    gate = SimpleNamespace(reached=threading.Event(), opened=threading.Event())
    monkeypatch.setitem(sys.modules, "gate", gate)
    path = tmp_path / f"{MODULE}.py"
    path.write_text(f"import gate; gate.reached.set(); gate.opened.wait(20)\n{path.read_text()}")
    with ThreadPoolExecutor(2) as pool:
        imported = pool.submit(import_it)
        assert gate.reached.wait(20)
        with pytest.raises(LookupError, match=f"has not imported {MODULE}"):
            process.inject(wait=True)
        answer = pool.submit(process.injector.inject_when_loaded, request(wait=True))
        gate.opened.set()

        assert answer.result() == {"planted": True}
        assert hits(imported.result().f, 2) == [0, 1]


def test_a_fault_that_is_healed_while_it_waits_never_comes(
    process: Process, import_it: Callable[[], Any]
) -> None:
    """And another one that waits for the same module does."""
    finders = list(sys.meta_path)
    process.inject("a", wait=True)
    process.inject("b", wait=True, limit=1)
    process.injector.heal({"id": "a"})
    module = import_it()

    assert hits(module.f, 3) == [0]
    assert sys.meta_path == finders

    process.inject("c", wait=True, **{"in": "tabnanny:check"})
    assert sys.meta_path != finders
    process.injector.heal_all()
    assert sys.meta_path == finders


def test_a_module_that_turns_out_to_lack_the_function_is_reported(
    tmp_path: Path, import_it: Callable[[], Any]
) -> None:
    """The import itself goes on."""
    process = Process(tmp_path)
    process.inject("a", wait=True, **{"in": f"{MODULE}:nothing"})

    assert import_it().f() == 1
    assert [where for where, _ in process.errors] == ["fault a"]
    assert f"{MODULE} has no nothing" in str(process.errors[0][1])
    assert tally.refusals(tmp_path, "a") == [f"{MODULE}:nothing: {MODULE} has no nothing"]


def test_a_program_that_fails_to_import_the_module_may_try_again(
    process: Process, import_it: Callable[[], Any], tmp_path: Path
) -> None:
    """The fault waits for the import that succeeds."""
    whole = (tmp_path / f"{MODULE}.py").read_text()
    (tmp_path / f"{MODULE}.py").write_text("raise OSError\n")
    process.inject(wait=True)
    with pytest.raises(OSError):
        import_it()
    (tmp_path / f"{MODULE}.py").write_text(whole)
    importlib.invalidate_caches()

    assert hits(import_it().f, 1) == [0]


def test_a_function_that_was_found_before_is_the_one_that_fails(
    process: Process, f: Callable[[], object]
) -> None:
    """Also if others have put something else under its name since."""
    assert process.injector.find(request()) == {"found": True}
    sys.modules[MODULE].f = lambda: 2  # type: ignore[attr-defined]

    process.inject(wait=True)
    assert hits(f, 1) == [0]


def test_a_board_holds_the_faults_that_are_in_force(tmp_path: Path) -> None:
    """Each until it is taken down; half a file is not read."""
    board = FaultBoard(tmp_path)
    board.post(request("a"))
    board.post(request("b", limit=3))
    board.remove("a")
    board.remove("never")
    (tmp_path / "c.fault").write_text('{"id": "c"')

    assert board.posted() == [request("b", limit=3)]
