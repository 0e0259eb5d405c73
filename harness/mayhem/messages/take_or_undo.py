"""Taking messages from a broker that is a network or a thread away, so that a cancel keeps none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ..errors import LeaseLostError, StorageError
from .settlement import untorn

T = TypeVar("T")


async def claimed(claim: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
    """What *claim* takes; cancelled meanwhile, wait for its end and undo it.

    A claim that is cancelled itself would leave its messages leased to nobody: the broker has handed them out
    by the time the answer is thrown away.
    """
    claiming = asyncio.create_task(claim)
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError as cancelled:
        try:
            await untorn(_undo(claiming, undo))
        except (LeaseLostError, StorageError) as exc:
            cancelled.add_note(f"and meanwhile: {type(exc).__name__}: {exc}")
        raise


async def _undo(claiming: asyncio.Task[T], undo: Callable[[T], Awaitable[None]]) -> None:
    await undo(await claiming)
