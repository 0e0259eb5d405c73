"""What watching costs a loop: per turn, and over whole programs that do little but keep their loop busy."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from time import perf_counter_ns

import pytest

from harness.probe.loop.deadman import TimerFd
from harness.probe.loop.turns import EXACT, Turns
from harness.record import page

from . import probed, sides

WORKLOADS = Path(__file__).parent / "workloads"
# Items of each workload: some 150 ms of CPU time, and of `idle` 0.4 s of waiting.
COUNTS = {"ping": 60_000, "hop": 30_000, "spawn": 40_000, "echo": 6_000, "idle": 40}
# Of those that are done by turns in one process: some 10 ms.
SLICES = {"ping": 2_000, "hop": 1_200, "spawn": 1_500, "echo": 300}
# For ratios near 1, and for those where a tenth does not matter.
MANY, FEW = 10, 5
# No watchers (`workloads/watchers.py`), but what the probe brings along and most services have.
SURROUNDINGS = {"idle_thread": "idle thread", "service": "a service's modules"}
# Of the libraries that a watcher (`workloads/watchers.py`) needs.
MODULES = {"slow_callbacks": "aiodebug", "hang_inspection": "aiodebug", "aiocop": "aiocop"}
TURNS = 20_000


@pytest.fixture
def python(request):
    return request.config.getoption("--target-python")


def test_select(compare, tmp_path):
    """One turn that finds nothing to do, in nanoseconds: the selector's own `select(0)`, and the probe's."""
    words = page.create(tmp_path / "loop.page", started_ns=0, limit_ns=probed.LIMIT_NS)
    turns = Turns(words, limit_ns=probed.LIMIT_NS, on_late=lambda *_: None, on_overslept=lambda *_: None)
    plain, timed = asyncio.new_event_loop(), asyncio.new_event_loop()
    timer = TimerFd()
    try:
        assert turns.begin(timed, timer) == EXACT
        compare("select(0)", "probe", _turn(plain), _turn(timed), pairs=MANY)
        turns.end()
    finally:
        timer.close()
        plain.close()
        timed.close()

    assert words[page.TURNS] > TURNS


@pytest.mark.parametrize("name", SLICES)
def test_timing(tell, benchmark, python, tmp_path, name):
    """The timing of turns alone, beside an idle thread: two loops of a process by turns, one of them so."""
    command = [python, str(WORKLOADS / f"{name}.py"), str(SLICES[name]), "by_turns"]
    found = []
    benchmark.pedantic(
        lambda: found.append(sides.program(command, environment=os.environ, folder=tmp_path)())
    )

    tell(name, "timing alone", found[0]["pairs"])

    assert found[0]["turns"] > SLICES[name]


@pytest.mark.parametrize("name", COUNTS)
def test_nothing(compare, python, tmp_path, name):
    """The control: nothing against nothing. What the ratio is away from 1 is the machine's."""
    side = _workload(python, name, COUNTS[name], folder=tmp_path)

    compare(name, "nothing", side, side, pairs=MANY)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("around", SURROUNDINGS)
def test_surroundings(compare, python, tmp_path, name, around):
    """What a program around the loop costs it, without a watcher: a service pays that already."""
    base = _workload(python, name, COUNTS[name], folder=tmp_path)
    head = _workload(python, name, COUNTS[name], around, folder=tmp_path)

    compare(name, SURROUNDINGS[around], base, head, pairs=MANY)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(("around", "title"), [((), "probe"), (("service",), "probe, in a service")])
def test_probe(compare, python, tmp_path, name, around, title):
    """The probe, in every process; each left a page of counted turns. What is around is on both sides."""
    inside = probed.environment(tmp_path / "run")
    base = _workload(python, name, COUNTS[name], *around, folder=tmp_path)
    head = _workload(python, name, COUNTS[name], *around, folder=tmp_path, environment=inside)

    compare(name, title, base, head, pairs=MANY)

    assert min(probed.turns(tmp_path / "run"), default=0) >= COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_debug_mode(compare, python, tmp_path, name):
    """asyncio's own debug mode; a fifth of the work, for it takes up to twenty times as long."""
    count = COUNTS[name] if name == "idle" else COUNTS[name] // 5
    base = _workload(python, name, count, folder=tmp_path)
    head = _workload(
        python, name, count, folder=tmp_path, environment={**os.environ, "PYTHONASYNCIODEBUG": "1"}
    )

    compare(name, "debug mode", base, head, pairs=FEW)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("watcher", MODULES)
def test_watcher(compare, absent, python, tmp_path, name, watcher):
    """Another library that watches a loop, if it is installed."""
    if subprocess.run([python, "-c", f"import {MODULES[watcher]}"], stderr=subprocess.DEVNULL).returncode:
        absent(name, watcher, "not installed")
    base = _workload(python, name, COUNTS[name], folder=tmp_path)
    head = _workload(python, name, COUNTS[name], watcher, folder=tmp_path)

    compare(name, watcher, base, head, pairs=FEW)


def _turn(loop):
    select = loop._selector.select

    def sample():
        began_ns = perf_counter_ns()
        for _ in range(TURNS):
            select(0)
        return {"turn_ns": (perf_counter_ns() - began_ns) / TURNS}

    return sample


def _workload(python, name, count, *watcher, folder, environment=os.environ):
    command = [python, str(WORKLOADS / f"{name}.py"), str(count), *watcher]
    return sides.program(command, environment=environment, folder=folder)
