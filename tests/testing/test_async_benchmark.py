"""The fixture `async_benchmark` in runs of pytest: what is measured, where, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import plugin_run

PLUGINS = ("harness.benchmark_plugin", "pytest_asyncio.plugin", "anyio.pytest_plugin")
# What every test module of these runs begins with.
HEAD = """
import asyncio
import pytest

async def yields(times=3):
    for _ in range(times):
        await asyncio.sleep(0)
    return times

async def spawns():
    await asyncio.gather(*(asyncio.create_task(yields(1)) for _ in range(4)))
"""
BENCHMARK = ("-p", "pytest_benchmark.plugin", "--benchmark-max-time=0.02", "--benchmark-min-rounds=2")

Run = Callable[..., tuple[pytest.RunResult, dict[str, Any]]]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in a process of its own on a module of tests; also returns its benchmarks by test."""
    # pytest-benchmark measures nothing in a worker of pytest-xdist.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytest_run = plugin_run.runner(pytester, monkeypatch, plugins=PLUGINS, head=HEAD)

    def run(
        tests: str, *options: str, benchmark: tuple[str, ...] = (*BENCHMARK, "--benchmark-json=out.json")
    ) -> tuple[pytest.RunResult, dict[str, Any]]:
        result = pytest_run(tests, *benchmark, *options)
        saved = pytester.path / "out.json"
        found = json.loads(saved.read_text())["benchmarks"] if saved.exists() and saved.read_text() else []
        return result, {one["name"]: one for one in found}

    return run


def test_coroutine_functions_are_measured_in_tests_of_every_kind(run: Run) -> None:
    """Plain ones on a loop of the benchmark's, others on their own; the result is the function's."""
    result, measured = run("""
def test_plain(async_benchmark):
    loops = set()
    async def noting():
        loops.add(id(asyncio.get_running_loop()))
        return await yields(2)
    assert async_benchmark(noting) == 2
    assert len(loops) == 1

@pytest.mark.asyncio
async def test_on_its_loop(async_benchmark):
    here = asyncio.get_running_loop()
    async def noting():
        assert asyncio.get_running_loop() is here
        return await yields(5)
    assert await async_benchmark(noting) == 5

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_of_anyio(async_benchmark, anyio_backend):
    assert await async_benchmark(yields, times=1) == 1

def test_pedantic(async_benchmark):
    seen = []
    async def before():
        await asyncio.sleep(0)
        seen.append("before")
        return (4,), {}
    async def after(times):
        seen.append(times)
    assert async_benchmark.pedantic(yields, setup=before, teardown=after, rounds=3) == 4
    assert seen[:6] == ["before", 4] * 3
""")

    result.assert_outcomes(passed=4)
    assert len(measured) == 4
    assert all(one["stats"]["rounds"] >= 2 and one["stats"]["min"] > 0 for one in measured.values())
    assert measured["test_pedantic"]["stats"]["rounds"] == 3


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_an_operation_makes_the_loop_do_is_counted(run: Run, loop: str) -> None:
    """Exactly; what uvloop does not show is missing, and not nought."""
    pytest.importorskip(loop)
    result, measured = run(f"""
import {loop}

@pytest.fixture
def async_benchmark_loop_factory():
    return {loop}.new_event_loop

def test_yields(async_benchmark):
    async_benchmark(yields, 3)

def test_spawns(async_benchmark):
    async_benchmark(spawns)

def test_computes(async_benchmark):
    async def computes():
        sum(range(20_000))
    async_benchmark(computes)
""")

    result.assert_outcomes(passed=3)
    found = {name: one["extra_info"]["per_operation"] for name, one in measured.items()}
    yields, spawns, computes = (
        {key: figure for key, figure in found[name].items() if key != "cpu_s"}
        for name in ("test_yields", "test_spawns", "test_computes")
    )
    if loop == "uvloop":
        assert (yields, spawns, computes) == ({"tasks": 0}, {"tasks": 4}, {"tasks": 0})
    else:
        assert yields == {"turns": 3, "tasks": 0, "callbacks": 3}
        # Four tasks of two steps, four callbacks that tell the gathering future, and the step that goes on.
        assert spawns == {"turns": 4, "tasks": 4, "callbacks": 13}
        assert computes == {"turns": 0, "tasks": 0, "callbacks": 0}
    # Seconds, as all of pytest-benchmark's figures.
    assert all(0 < of["cpu_s"] < 0.1 for of in found.values())
    assert found["test_computes"]["cpu_s"] > 1e-4


def test_what_measures_no_coroutine_is_refused(run: Run) -> None:
    """Such a benchmark looks a thousand times faster than it is, and passes without the plugin."""
    result, measured = run("""
@pytest.mark.asyncio
async def test_not_awaited(async_benchmark):
    async_benchmark(yields)

@pytest.mark.asyncio
async def test_awaits_what_cannot(benchmark):
    await benchmark(yields)

def test_creates_coroutines(benchmark):
    benchmark.pedantic(lambda: yields(), rounds=3)

def test_no_coroutine_function(async_benchmark):
    async_benchmark(sum, [1, 2])

def test_the_functions_own_error(async_benchmark):
    async def fails():
        await 1
    async_benchmark(fails)

def test_plain_function(benchmark):
    assert benchmark(sum, [1, 2]) == 3
""")

    result.assert_outcomes(passed=2, failed=4, errors=1)
    result.stdout.fnmatch_lines(
        [
            "async_benchmark(...) was not awaited: in an asynchronous test write await*",
            "*TypeError: benchmark(yields): it creates coroutines, and none of them would be awaited;*",
            "*TypeError: benchmark(*<lambda>): it creates coroutines*",
            "*TypeError: async_benchmark(sum): expected a coroutine function: *",
        ]
    )
    assert "test_plain_function" in measured
    assert "test_awaits_what_cannot" not in measured


def test_a_benchmark_that_is_cancelled_ends(run: Run) -> None:
    """Its thread does not go on, nor does the operation."""
    result, _ = run("""
import threading

@pytest.mark.asyncio
async def test_it(async_benchmark):
    state = []
    async def slow():
        state.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            state.append("ended")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await async_benchmark(slow)
    while len(state) < 2:
        await asyncio.sleep(0.01)
    assert state == ["begun", "ended"]
    for thread in threading.enumerate():
        if thread.name.startswith("async-benchmark"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
""")

    result.assert_outcomes(passed=1)


def test_where_benchmarks_are_disabled_the_function_is_called_once(run: Run) -> None:
    """As pytest-benchmark does with others."""
    result, measured = run(
        """
def test_it(async_benchmark):
    calls = []
    async def one():
        calls.append(1)
        return 7
    assert async_benchmark(one) == 7
    assert calls == [1]
""",
        "--benchmark-disable",
    )

    result.assert_outcomes(passed=1)
    assert measured == {}


def test_without_pytest_benchmark_the_fixture_says_what_it_needs(run: Run) -> None:
    """And a run that does not use it is not affected."""
    result, _ = run("def test_it(async_benchmark): pass\ndef test_other(): pass", benchmark=())

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("*async_benchmark needs pytest-benchmark: pip install pytest-benchmark*")
