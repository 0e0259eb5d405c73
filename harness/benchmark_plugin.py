"""The pytest plugin for benchmarks of coroutine functions, beside pytest-benchmark.

It is loaded in every pytest run of an environment with the harness installed, so it imports nothing until a
test requests a fixture of it, or pytest-benchmark's own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing.async_benchmark import AsyncBenchmark, LoopFactory


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
