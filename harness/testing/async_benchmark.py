"""Benchmarks coroutine functions with pytest-benchmark, which by itself times plain functions.

Its calibration, rounds, statistics, storage and comparison stay its own. One round is a loop of awaits inside
one task, so neither the start of a loop nor that of a task is timed, and all rounds run on the same loop.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from time import monotonic, process_time
from typing import Any

from .operation_counts import OperationCounts, counted

# An operation is counted this many times, or as often as fits into this time.
COUNTED, COUNTED_WITHIN_S = 20, 0.5

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
AsyncFunction = Callable[..., Awaitable[Any]]
# Carries out a coroutine on the benchmark's loop, and returns what it returns.
_Run = Callable[[Coroutine[Any, Any, Any]], Any]
# What is called before or after an operation.
_Step = Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class _Order:
    """What to benchmark: how pytest-benchmark is called, and what is called around each operation."""

    function: AsyncFunction
    measure: Callable[[Callable[..., Any], _Step, _Step], Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    setup: Callable[[], Any] | None = None
    teardown: Callable[..., Any] | None = None


class AsyncBenchmark:
    """The fixture ``async_benchmark``: to be called in a plain test, and awaited in an asynchronous one.

    In a plain test, a loop is made for the benchmark, by *loop_factory* or by the event loop policy.
    ``extra_info["per_operation"]`` gets the CPU time of the process (``cpu_s``, of the timed rounds) and,
    counted apart from them, ``turns`` of the loop, ``tasks`` created and ``callbacks`` run. What cannot be
    counted on the loop at hand is missing.
    """

    def __init__(self, benchmark: Any, loop_factory: LoopFactory | None = None) -> None:
        self.benchmark = benchmark  # pytest-benchmark's fixture
        self.is_pending = False  # called where a loop runs, and not awaited yet
        self._loop_factory = loop_factory
        self._cpu_s, self._operations = 0.0, 0

    def __call__(self, function: AsyncFunction, *args: Any, **kwargs: Any) -> Any:
        """Benchmark ``await function(*args, **kwargs)``, and return what the last call returned.

        Raises:
            TypeError: *function* returns no awaitable.
            RuntimeError: The test runs on trio.
        """
        return self._carry_out(
            _Order(function, lambda once, *_: self.benchmark(once, *args, **kwargs), args, kwargs)
        )

    def pedantic(
        self,
        target: AsyncFunction,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """As ``benchmark.pedantic``; *setup* and *teardown* may be coroutine functions, too."""
        args = tuple(args)

        def measure(once: Callable[..., Any], setup: Any, teardown: Any) -> Any:
            given = {"args": args, "kwargs": kwargs, "setup": setup, "teardown": teardown}
            return self.benchmark.pedantic(
                once, **given, rounds=rounds, warmup_rounds=warmup_rounds, iterations=iterations
            )

        return self._carry_out(_Order(target, measure, args, kwargs, setup, teardown))

    def _carry_out(self, order: _Order) -> Any:
        if (trio := sys.modules.get("trio")) is not None and trio.lowlevel.in_trio_run():
            raise RuntimeError("async_benchmark measures on asyncio's loops, and this test runs on trio")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                return self._measure(order, runner.run)
        self.is_pending = True
        return self._carry_out_on(loop, order)

    async def _carry_out_on(self, loop: asyncio.AbstractEventLoop, order: _Order) -> Any:
        """Measure in another thread, which has the running loop carry out each round."""
        self.is_pending = False
        going_on: list[Future[Any]] = []
        is_cancelled = False

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            if is_cancelled:
                work.close()
                raise asyncio.CancelledError
            going_on[:] = [asyncio.run_coroutine_threadsafe(work, loop)]
            return going_on[0].result()

        # Not by the loop's default executor, whose threads may be what is measured.
        executor = ThreadPoolExecutor(1, "async-benchmark")
        try:
            return await loop.run_in_executor(executor, self._measure, order, run)
        except asyncio.CancelledError:
            is_cancelled = True
            for future in going_on:
                future.cancel()
            raise
        finally:
            executor.shutdown(wait=False)

    def _measure(self, order: _Order, run: _Run) -> Any:
        function = order.function
        self.benchmark._make_runner = partial(self._make_runner, function, run)
        setup, teardown = _on_loop(order.setup, run), _on_loop(order.teardown, run)
        result = order.measure(lambda *args, **kwargs: run(_call(function, args, kwargs)), setup, teardown)
        if self._operations:
            found = self._count(order, setup, teardown, run)
            known = {name: value for name, value in found._asdict().items() if value is not None}
            self.benchmark.extra_info["per_operation"] = {"cpu_s": self._cpu_s / self._operations} | known
        return result

    def _make_runner(self, function: AsyncFunction, run: _Run, _: object, args: Any, kwargs: Any) -> Any:
        """As the method of pytest-benchmark that it stands for: what times one round.

        That is given a range of calls and returns their time, or no range and returns that of one call and
        its result.
        """

        def runner(calls: range | None, timer: Callable[[], float] | None = None) -> Any:
            clock = timer or self.benchmark._timer
            disable_gc = self.benchmark._disable_gc
            timed = _timed(function, args, kwargs, calls or range(1), clock, disable_gc=disable_gc)
            took, cpu_s, result = run(timed)
            self._cpu_s += cpu_s
            self._operations += len(calls or range(1))
            return took if calls else (took, result)

        return runner

    def _count(self, order: _Order, setup: Any, teardown: Any, run: _Run) -> OperationCounts:
        """The counts of one operation: the mean of several."""
        found: list[OperationCounts] = []
        until_s = monotonic() + COUNTED_WITHIN_S
        while len(found) < COUNTED and (not found or monotonic() < until_s):
            args, kwargs = order.args, order.kwargs or {}
            if setup is not None and (made := setup()):
                args, kwargs = made
            found.append(run(counted(partial(_call, order.function, args, kwargs))))
            if teardown is not None:
                teardown(*args, **kwargs)
        return OperationCounts.mean(found)


def refuse_coroutine_functions(benchmark: Any) -> None:
    """Have pytest-benchmark's fixture refuse what returns a coroutine: it would time only its creation.

    Its calls raise `TypeError` then.
    """

    def refusing(own: Callable[..., Any]) -> Callable[..., Any]:
        def call(function: Any, *args: Any, **kwargs: Any) -> Any:
            if iscoroutinefunction(function):
                raise TypeError(_measures_nothing(function))
            result = own(function, *args, **kwargs)
            if iscoroutine(result):
                result.close()
                raise TypeError(_measures_nothing(function))
            return result

        return call

    for name in ("_raw", "_raw_pedantic"):
        setattr(benchmark, name, refusing(getattr(benchmark, name)))


def _measures_nothing(function: object) -> str:
    return (
        f"benchmark({_name(function)}): it creates coroutines, and none of them would be awaited; "
        f"use the fixture async_benchmark"
    )


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))


def _refusal(function: object, error: TypeError) -> TypeError | None:
    """The error for what cannot be awaited, if the caller's own ``await`` has raised *error*; else `None`."""
    if error.__traceback__ is None or error.__traceback__.tb_next is not None:
        return None
    return TypeError(f"async_benchmark({_name(function)}): expected a coroutine function: {error}")


async def _call(function: AsyncFunction, args: Any, kwargs: Any) -> Any:
    try:
        return await function(*args, **kwargs)
    except TypeError as exc:
        if (refusal := _refusal(function, exc)) is None:
            raise
        raise refusal from None


async def _timed(
    function: AsyncFunction,
    args: Any,
    kwargs: Any,
    calls: range,
    timer: Callable[[], float],
    *,
    disable_gc: bool,
) -> tuple[float, float, Any]:
    """The time of *calls* by *timer*, the CPU time of the process meanwhile (s), and the last result."""
    had_gc, result = gc.isenabled(), None
    # A call with all of its arguments is cheaper than one that unpacks them each time.
    call = partial(function, *args, **kwargs) if args or kwargs else function
    if disable_gc:
        gc.disable()
    try:
        cpu_s, began = process_time(), timer()
        for _ in calls:
            result = await call()
        return timer() - began, process_time() - cpu_s, result
    except TypeError as exc:
        if (refusal := _refusal(function, exc)) is None:
            raise
        raise refusal from None
    finally:
        if had_gc:
            gc.enable()


def _on_loop(step: Callable[..., Any] | None, run: _Run) -> Callable[..., Any] | None:
    """*step* as a plain function that is carried out on the benchmark's loop."""
    if step is None:
        return None

    async def finished(args: Any, kwargs: Any) -> Any:
        returned = step(*args, **kwargs)
        return await returned if isawaitable(returned) else returned

    return lambda *args, **kwargs: run(finished(args, kwargs))
