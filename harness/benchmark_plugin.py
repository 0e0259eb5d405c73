"""The pytest plugin beside pytest-benchmark: coroutine functions, and a comparison that can be trusted.

It is loaded in every pytest run of an environment with the harness installed, so it imports nothing until a
test requests a fixture of it, or pytest-benchmark's own, or `--harness-base` asks for a comparison.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing.async_benchmark import AsyncBenchmark, LoopFactory


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness")
    group.addoption(
        "--harness-base",
        metavar="REV|JSON",
        help="Compare the benchmarks of pytest-benchmark with those of a git revision, in processes that run "
        "in turn; or with a file of --benchmark-json, of which little can be told.",
    )
    group.addoption(
        "--harness-limit", metavar="SHARE", default="5%", help="The smallest slowdown that matters [5%%]."
    )
    group.addoption(
        "--harness-allow-new",
        metavar="NAME",
        action="append",
        default=[],
        help="A benchmark, by its node id, that the base may lack; * is any text; repeatable.",
    )
    group.addoption(
        "--harness-allow-missing",
        metavar="NAME",
        action="append",
        default=[],
        help="The same for one that is not there any more.",
    )
    group.addoption(
        "--harness-max-minutes", metavar="N", type=float, default=15.0, help="End it after N minutes [15]."
    )
    group.addoption(
        "--harness-install",
        metavar="ARGS",
        help="What pip installs for each revision, such as '-e .[test]' [if both revisions need the same "
        "packages: nothing, and both have the present environment].",
    )
    group.addoption(
        "--harness-same-environment", action="store_true", help="Use the present environment for the base."
    )


def pytest_configure(config: pytest.Config) -> None:
    if (base := config.getoption("harness_base")) is not None and not config.getoption("collectonly"):
        from .testing.benchmark_comparison import plugin_for

        config.pluginmanager.register(plugin_for(config, base), "harness-benchmark-comparison")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # By this name --benchmark-only and --benchmark-skip know what a benchmark is.
    for item in items if hasattr(config.option, "benchmark_only") else ():
        names: list[str] = getattr(item, "fixturenames", [])
        if "async_benchmark" in names and "benchmark" not in names:
            names.append("benchmark")


@pytest.fixture
def async_benchmark_loop_factory() -> LoopFactory | None:
    """Makes the loop for `async_benchmark` in plain tests, None: the event loop policy does. Override it."""
    return None


@pytest.fixture
def async_benchmark(
    request: pytest.FixtureRequest, async_benchmark_loop_factory: LoopFactory | None
) -> Iterator[AsyncBenchmark]:
    """pytest-benchmark for coroutine functions: ``await async_benchmark(function, *args)``.

    In a plain test, without ``await``. See `harness.testing.async_benchmark.AsyncBenchmark`.
    """
    from .testing.async_benchmark import AsyncBenchmark

    try:
        benchmark = request.getfixturevalue("benchmark")
    except pytest.FixtureLookupError:
        pytest.fail("async_benchmark needs pytest-benchmark: pip install pytest-benchmark", pytrace=False)
    measured = AsyncBenchmark(benchmark, async_benchmark_loop_factory)
    yield measured
    if measured.is_pending:
        pytest.fail(
            "async_benchmark(...) was not awaited: in an asynchronous test write await async_benchmark(...)",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    made = yield
    if fixturedef.argname == "benchmark" and hasattr(made, "_raw_pedantic"):
        from .testing.async_benchmark import refuse_coroutine_functions

        refuse_coroutine_functions(made)
    return made
