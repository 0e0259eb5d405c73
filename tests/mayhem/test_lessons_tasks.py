"""Lessons on tasks: who owns them, and what becomes of a cancellation and of errors."""

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
# Made outside of a group, and awaited to their end right there, whoever cancels the caller.
OWNED = {"cancellation.py"}


def calls(*names: str) -> set[Any] | set[tuple[str, str]]:
    """(file, name) of the calls of these functions of asyncio, in the service itself."""
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
    """Tasks are made by groups; the few others are awaited where they are made."""
    assert {file for file, _ in calls("create_task", "ensure_future")} <= OWNED
    assert calls("TaskGroup") >= {("consumer.py", "TaskGroup"), ("service.py", "TaskGroup")}


def test_the_service_gathers_nothing() -> None:
    """Neither `gather`, which hides errors, nor `wait_for`, which may swallow a cancellation."""
    assert calls("gather", "wait_for", "get_event_loop") == set()


async def fail() -> None:
    raise ValueError("early")


async def grouped(*work: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


async def test_a_cancelled_gather_forgets_what_was_done() -> None:
    """Cancelled, `gather` tells nothing of an error that one of its members had raised; a group does."""
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
    """A task that goes on after its first cancellation, as a library may make it do, is cancelled again."""
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
