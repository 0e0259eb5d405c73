"""Every exception is counted with its place and its end, and logged."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.mayhem.errors import HostUnavailableError, StorageUnavailableError, leaves
from harness.mayhem.operations import failure_ledger as failures_module
from harness.mayhem.operations.exception_hook import record_unhandled
from harness.mayhem.operations.failure_ledger import (
    MAX_ROWS,
    OTHERS,
    End,
    FailureCount,
    FailureLedger,
    raised_at,
)
from harness.mayhem.operations.tracing import span

PATIENCE_S = 20


@pytest.fixture
def failures() -> FailureLedger:
    return FailureLedger()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[..., Any]:
    """The log records of unhandled exceptions."""
    return lambda: [r for r in caplog.records if r.name == "harness.mayhem.operations.exception_hook"]


def raised(error: ValueError) -> ValueError:
    """Raise and catch the error, so that it has a traceback."""
    try:
        raise error
    except type(error) as exc:
        return exc


def test_place_is_the_innermost_of_the_program() -> None:
    """The place is the innermost frame outside of libraries."""
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int, "x", base="y").result()  # type: ignore[arg-type]  # it must raise
    except TypeError as exc:
        place = raised_at(exc)
    module, _, function = raised_at(raised(ValueError())).rpartition(":")[0].rpartition(".")

    assert place.startswith(f"{__name__}.test_place_is_the_innermost_of_the_program:")
    assert (module, function) == (__name__, "raised")
    assert raised_at(ValueError("never raised")) == ""


def test_counts_are_by_kind_place_and_end(failures: FailureLedger) -> None:
    """A repeated failure is counted in the same row; the most frequent row comes first."""
    for _ in range(3):
        failures.note(raised(ValueError()), End.NACKED)
    failures.note(ValueError(), End.DEAD_LETTERED)

    place = raised_at(raised(ValueError()))
    assert failures.rows() == [
        FailureCount("ValueError", place, End.NACKED, 3),
        FailureCount("ValueError", "", End.DEAD_LETTERED, 1),
    ]
    assert failures.totals() == {
        "retried": 0,
        "nacked": 3,
        "dead-lettered": 1,
        "let go": 0,
        "stopped": 0,
        "unhandled": 0,
    }


async def test_group_counts_each_of_its_errors(failures: FailureLedger) -> None:
    """Each exception in a group is counted."""

    async def fail(error: Exception) -> None:
        raise error

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(HostUnavailableError("away")))
            group.create_task(fail(StorageUnavailableError("locked")))
    except ExceptionGroup as error:
        failures.note(error, End.NACKED)

    assert sorted((row.kind, row.count) for row in failures.rows()) == [
        ("HostUnavailableError", 1),
        ("StorageUnavailableError", 1),
    ]


def test_leaves_of_groups() -> None:
    """Nested groups are flattened, including base exceptions."""
    one, two, three = ValueError(), KeyboardInterrupt(), asyncio.CancelledError()
    nested = BaseExceptionGroup("", [one, BaseExceptionGroup("", [two, three])])

    assert list(leaves(nested)) == [one, two, three]
    assert list(leaves(one)) == [one]


def test_rows_are_bounded_and_totals_are_not(failures: FailureLedger) -> None:
    """The number of rows is bounded, and every failure is in the totals."""
    for number in range(MAX_ROWS * 3):
        failures.note_kind(f"Error{number}", "", End.NACKED)

    assert len(failures.rows()) == MAX_ROWS + 1
    assert failures.rows()[0] == FailureCount(OTHERS, "", End.NACKED, MAX_ROWS * 2)
    assert failures.totals()["nacked"] == MAX_ROWS * 3


def test_threads_count_together(failures: FailureLedger) -> None:
    """Concurrent counts from several threads are all counted."""

    def count() -> None:
        for _ in range(2_000):
            failures.note_kind("Error", "", End.RETRIED)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures.totals()["retried"] == 8_000


def test_every_failure_is_a_metric(failures: FailureLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric has only the type, because there are too many places."""
    recorded: list[Any] = []
    monkeypatch.setattr(failures_module, "record_failure", recorded.append)
    failures.note(ExceptionGroup("", [ValueError(), TypeError()]), End.ABANDONED)

    assert recorded == ["ValueError", "TypeError"]


def test_summary_is_one_line(failures: FailureLedger, caplog: pytest.LogCaptureFixture) -> None:
    """The summary has the totals and the most frequent failures, even if there are none."""
    caplog.set_level(logging.INFO)
    failures.log_summary()
    for _ in range(3):
        failures.note_kind("ValueError", "a.b:7", End.NACKED)
    failures.note_kind("TypeError", "a.c:9", End.ABANDONED)
    failures.log_summary()

    none, some = [vars(r) for r in caplog.records if r.name == "harness.mayhem.operations.failure_ledger"]
    assert (none["nacked"], none["let_go"], none["most"]) == (0, 0, "")
    assert (some["nacked"], some["let_go"], some["dead_lettered"], some["unhandled"]) == (3, 1, 0, 0)
    assert some["most"] == "ValueError at a.b:7: nacked 3x; TypeError at a.c:9: let go 1x"


async def fail(message: str = "nobody looks") -> None:
    raise ValueError(message)


async def test_task_that_nobody_awaits(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """It is logged with its task, place and stack, and counted."""
    with record_unhandled(failures):
        task = asyncio.create_task(fail(), name="forgotten")
        await asyncio.wait({task})
        del task
        gc.collect()

    (record,) = told()
    assert record.getMessage() == "unhandled: Task exception was never retrieved"
    assert (record.task, str(record.exc_info[1])) == ("forgotten", "nobody looks")
    assert record.origin.startswith(f"{__file__}:")
    (row,) = failures.rows()
    assert (row.kind, row.end, row.count) == ("ValueError", End.UNHANDLED, 1)
    assert row.raised_at.startswith(f"{__name__}.fail:")


async def test_task_that_is_awaited(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """Control: a retrieved exception is not reported."""
    with record_unhandled(failures):
        with pytest.raises(ValueError):
            await asyncio.create_task(fail())
        gc.collect()

    assert (told(), failures.rows()) == ([], [])


async def test_task_that_is_lost_while_it_waits(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """A task that was garbage-collected while pending is reported with the place where it waited."""

    async def waits() -> None:
        # A reference cycle that nothing else refers to, like a task without a reference.
        await asyncio.get_running_loop().create_future()

    with record_unhandled(failures):
        task = asyncio.create_task(waits(), name="lost")
        await asyncio.sleep(0)
        del task
        gc.collect()

    (record,) = told()
    assert record.getMessage() == "unhandled: Task was destroyed but it is pending!"
    assert record.task == "lost"
    assert ".waits" in record.stack
    (row,) = failures.rows()
    assert (row.kind, row.raised_at) == ("Task was destroyed but it is pending!", record.stack)


async def test_exception_in_a_done_callback(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """An exception in a callback is logged and counted."""

    def callback(task: asyncio.Task[Any]) -> None:
        raise KeyError("callback")

    with record_unhandled(failures):
        task = asyncio.create_task(asyncio.sleep(0))
        task.add_done_callback(callback)
        await task
        await asyncio.sleep(0)

    (record,) = told()
    assert record.exc_info[0] is KeyError
    (row,) = failures.rows()
    assert (row.kind, row.end) == ("KeyError", End.UNHANDLED)
    assert ".callback:" in row.raised_at


async def test_exception_in_a_callback_has_its_span(
    failures: FailureLedger, told: Callable[..., Any], spans: InMemorySpanExporter
) -> None:
    """A callback that fails is logged under the span it was scheduled in."""
    with record_unhandled(failures):
        with span("outer") as outer:
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    (record,) = told()
    context = outer.get_span_context()
    assert (record.trace_id, record.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


async def test_exception_in_an_executor_s_thread(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """It is raised in the awaiting caller; without one, it is reported as unhandled."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool, record_unhandled(failures):
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(pool, lambda: 1 / 0)
        assert told() == []
        forgotten = loop.run_in_executor(pool, lambda: 1 / 0)
        await asyncio.wait({forgotten})
        del forgotten
        gc.collect()

    (record,) = told()
    assert record.getMessage() == "unhandled: Future exception was never retrieved"
    assert failures.totals()["unhandled"] == 1


async def test_exception_that_ends_a_thread(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """An exception that ends a thread is logged with the thread's name."""
    with record_unhandled(failures):
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        await asyncio.to_thread(thread.join)

    (record,) = told()
    assert (record.getMessage(), record.in_thread) == ("unhandled: in a thread", "worker")
    assert [(row.kind, row.end) for row in failures.rows()] == [("ZeroDivisionError", End.UNHANDLED)]


async def test_exception_in_a_finaliser(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """An exception in `__del__` is logged and counted."""

    class Fragile:
        def __del__(self) -> None:
            raise ZeroDivisionError

    with record_unhandled(failures):
        Fragile()

    (record,) = told()
    assert "Fragile.__del__" in record.object + record.getMessage()  # the message, since Python 3.14
    assert [(row.kind, row.end) for row in failures.rows()] == [("ZeroDivisionError", End.UNHANDLED)]


async def test_gather_hides_the_second_failure(failures: FailureLedger, told: Callable[..., Any]) -> None:
    """Of two failures, `gather` raises one, and the other is never reported.

    A task group raises both.
    """

    async def both(wait_for_both: Callable[..., Any]) -> int:
        with record_unhandled(failures):
            try:
                await wait_for_both()
            except (ValueError, ExceptionGroup) as error:
                failures.note(error, End.NACKED)
            gc.collect()
        return failures.totals()["nacked"]

    async def gathering() -> None:
        await asyncio.gather(fail("1"), fail("2"))

    async def grouping() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("1"))
            group.create_task(fail("2"))

    assert await both(gathering) == 1
    assert await both(grouping) == 3  # two more
    assert told() == []


async def test_hooks_are_given_back() -> None:
    """Afterwards, the hooks are as before."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler(), threading.excepthook, sys.unraisablehook
    with record_unhandled(FailureLedger()):
        assert loop.get_exception_handler() is not before[0]

    assert (loop.get_exception_handler(), threading.excepthook, sys.unraisablehook) == before
