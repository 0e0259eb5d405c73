"""Lessons on tasks: ownership, cancellation and errors."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import harness.mayhem
from harness.mayhem.cancellation import cancel_and_wait

SERVICE = Path(harness.mayhem.__file__).parent
# Creates tasks without a group, and awaits them even if the caller is cancelled.
OWNED = {"cancellation.py"}


def calls(*names: str) -> set[Any] | set[tuple[str, str]]:
    """The service's calls of these asyncio functions, as (file, name)."""
    return {
        (path.name, node.func.attr)
        for path in SERVICE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "asyncio"
        and node.func.attr in names
    }


def test_every_task_has_an_owner() -> None:
    """Tasks are created by groups; the few others are awaited where they are created."""
    assert {file for file, _ in calls("create_task", "ensure_future")} <= OWNED
    assert calls("TaskGroup") >= {("consumer.py", "TaskGroup"), ("service.py", "TaskGroup")}


def test_the_service_gathers_nothing() -> None:
    """The service uses neither `gather`, which hides errors, nor `wait_for`, which may swallow a cancel."""
    assert calls("gather", "wait_for", "get_event_loop") == set()


async def fail() -> None:
    raise ValueError("early")


async def grouped(*work: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


async def test_a_cancelled_gather_forgets_what_was_done() -> None:
    """A cancelled `gather` discards an error that a member had raised; a group does not."""
    forgetting = asyncio.gather(fail(), asyncio.Event().wait(), return_exceptions=True)
    await asyncio.sleep(0.01)
    forgetting.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await forgetting
    with pytest.raises(ExceptionGroup) as told:
        await grouped(fail(), asyncio.Event().wait())

    assert "early" not in repr(cancelled.value)
    assert [str(error) for error in told.value.exceptions] == ["early"]


async def test_a_swallowed_cancellation_does_not_hold_the_end() -> None:
    """A task that swallows its first cancellation is cancelled again."""
    heard = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append("cancelled")
                if len(heard) > 1:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await cancel_and_wait([task])

    assert task.cancelled()
    assert heard == ["cancelled", "cancelled"]
