"""Signals drain first and cut short second; what nobody handles is logged and counted."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import pytest

from harness.mayhem.log import logging_to_stderr
from harness.mayhem.shutdown import Shutdown
from harness.mayhem.tracing import span
from harness.mayhem.unhandled import Unhandled

PATIENCE_S = 20


class Ending:
    """What a shutdown asked for, in order."""

    def __init__(self, *, drain_s):
        self.asked = asyncio.Queue()
        self.shutdown = Shutdown(
            lambda: self.asked.put_nowait("drain"), lambda: self.asked.put_nowait("cut"), drain_s=drain_s
        )

    async def next(self):
        async with asyncio.timeout(PATIENCE_S):
            return await self.asked.get()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_first_signal_drains_and_second_cuts(signum):
    """The same signal twice is a drain that is cut short."""
    ending = Ending(drain_s=PATIENCE_S * 2)
    with ending.shutdown.on_signals():
        os.kill(os.getpid(), signum)
        assert await ending.next() == "drain"
        assert not ending.shutdown.was_cut
        os.kill(os.getpid(), signum)
        assert await ending.next() == "cut"

    assert ending.shutdown.was_cut


async def test_deadline_cuts():
    """A drain that takes too long is cut short without a second signal."""
    ending = Ending(drain_s=0.01)
    with ending.shutdown.on_signals():
        ending.shutdown.ask("a test")

        assert [await ending.next(), await ending.next()] == ["drain", "cut"]


async def test_deadline_ends_with_the_service():
    """A drain that is over before its deadline is not cut afterwards, and signals are the program's again."""
    before = signal.getsignal(signal.SIGTERM)
    ending = Ending(drain_s=0.01)
    with ending.shutdown.on_signals():
        ending.shutdown.ask("a test")
    await asyncio.sleep(0.05)

    assert not ending.shutdown.was_cut
    assert signal.getsignal(signal.SIGTERM) == before


async def test_unhandled_error_is_logged_with_its_task_and_counted(caplog):
    """A task that fails with nobody to notice is named, with its stack, and counted."""
    unhandled = Unhandled()
    asyncio.get_running_loop().set_exception_handler(unhandled)

    async def failing():
        raise ValueError("nobody looks")

    task = asyncio.create_task(failing(), name="forgotten")
    await asyncio.wait({task})
    del task

    (record,) = [r for r in caplog.records if r.name == "harness.mayhem.unhandled"]
    assert (unhandled.count, record.unhandled, record.task) == (1, 1, "forgotten")
    assert record.getMessage() == "unhandled: Task exception was never retrieved"
    assert "nobody looks" in str(record.exc_info[1])
    assert record.origin.startswith(f"{__file__}:")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="handles do not tell their context before 3.12")
async def test_unhandled_error_in_a_callback_has_its_span(caplog, spans):
    """A callback that fails is logged under the span it was scheduled in."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Unhandled())
    with span("outer") as outer:
        loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

    (record,) = [r for r in caplog.records if r.name == "harness.mayhem.unhandled"]
    context = outer.get_span_context()
    assert (record.trace_id, record.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_log_lines_carry_fields_and_trace(capfd, spans):
    """A line has its message, its extra fields and, inside a span, the trace."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with logging_to_stderr(logging.INFO):
            with span("outer") as outer:
                logging.getLogger("a").info("told", extra={"message_id": "x"})
            logging.getLogger("a").info("untraced")
    finally:
        root.handlers = handlers

    traced, untraced = capfd.readouterr().err.splitlines()
    context = outer.get_span_context()
    assert traced.endswith(
        f"INFO a told message_id=x trace_id={context.trace_id:032x} span_id={context.span_id:016x}"
    )
    assert untraced.endswith("INFO a untraced")
