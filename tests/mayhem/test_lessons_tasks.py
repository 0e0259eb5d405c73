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
# What creates tasks without `async with asyncio.TaskGroup()`, and awaits or cancels them itself.
OWNERS = {
    "cancellation.py": {"asyncio.create_task"},
    "lease.py": {"self._tasks.create_task"},  # a group that ends with the leases
    "publisher.py": {"asyncio.run_coroutine_threadsafe"},  # its thread waits for it
}


# What creates a task, and what waits for several or with a time limit.
CREATING = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
GATHERING = {"gather", "wait_for"}


def trees() -> dict[str, ast.Module]:
    return {path.name: ast.parse(path.read_text()) for path in SERVICE.rglob("*.py")}


def groups_of(tree: ast.Module) -> set[str]:
    """The names that `async with asyncio.TaskGroup()` binds."""
    return {
        ast.unparse(item.optional_vars)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if ast.unparse(item.context_expr) == "asyncio.TaskGroup()" and item.optional_vars is not None
    }


def uses(tree: ast.Module, names: set[str]) -> set[str]:
    """Each use of a function of that name, however it is reached: ``loop.create_task``, a bare ``gather``."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in names:
                found.add(ast.unparse(node))
            case ast.Name(id=name) | ast.alias(name=name) if name in names:
                found.add(name)
    return found


def test_every_task_has_an_owner() -> None:
    """Tasks are created by groups; the few others are awaited where they are created."""
    for file, tree in trees().items():
        owners = {f"{group}.create_task" for group in groups_of(tree)}
        assert uses(tree, CREATING) <= owners | OWNERS.get(file, set()), file
    assert groups_of(trees()["consumer.py"]) == {"tasks"}


def test_the_service_gathers_nothing() -> None:
    """The service uses neither `gather`, which hides errors, nor `wait_for`, which may swallow a cancel."""
    for file, tree in trees().items():
        assert uses(tree, GATHERING | {"get_event_loop"}) == set(), file


@pytest.mark.parametrize(
    "line",
    [
        "loop.create_task(work())",
        "asyncio.ensure_future(work())",
        "from asyncio import create_task as begin",
        "asyncio.get_running_loop().create_task(work())",
        "await asyncio.gather(work())",
        "from asyncio import gather",
        "from asyncio import wait_for as at_most",
        "wait = asyncio.gather",
    ],
)
def test_however_a_task_is_created_it_is_found(line: str) -> None:
    """Control: the search finds what is created past the groups, under any name."""
    tree = ast.parse(f"async def f(loop):\n    {line}\n    async with asyncio.TaskGroup() as group: pass")

    assert uses(tree, CREATING | GATHERING) - {f"{group}.create_task" for group in groups_of(tree)}


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
