"""Whose step it is that holds a loop."""

from __future__ import annotations

import asyncio
import sys

import pytest

from harness.probe.tasks.identity import Identity, of_step


async def seen_in_a_callback() -> Identity:
    """Of a callback, which runs in the context that made it."""
    seen = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: seen.set_result(of_step(None, sys._getframe())))
    found: Identity = await seen
    return found


async def test_a_callback_has_the_span_that_made_it() -> None:
    """It has no task; outside of a callback there is neither."""
    trace = pytest.importorskip("opentelemetry.trace")
    span = trace.NonRecordingSpan(trace.SpanContext(7, 9, is_remote=False))
    with trace.use_span(span):
        inside = await seen_in_a_callback()

    assert (inside.task, inside.trace_id, inside.span_id) == ("", f"{7:032x}", f"{9:016x}")
    assert await seen_in_a_callback() == Identity()


async def test_a_task_is_named_with_its_coroutine() -> None:
    """Whatever is on the stack."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name("of a test")
    found = of_step(task, None)

    assert (found.task, found.coroutine) == ("of a test", "test_a_task_is_named_with_its_coroutine")
