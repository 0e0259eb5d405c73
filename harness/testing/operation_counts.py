"""Counts what an operation makes an event loop do: exact figures, whatever the machine is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from threading import get_ident
from typing import Any, NamedTuple, Self

from ..probe.hooks.hook import Hook
from ..probe.hooks.replacement import Replacement
from ..probe.hooks.selector_slot import SelectorSlot


class OperationCounts(NamedTuple):
    """The counts of one operation; `None` for what cannot be counted on its loop."""

    turns: float | None
    tasks: float | None
    callbacks: float | None

    @classmethod
    def mean(cls, of: Sequence[Self]) -> Self:
        """The means over several operations of one loop."""
        return cls(*(None if None in values else fmean(values) for values in zip(*of, strict=True)))


async def counted(operation: Callable[[], Awaitable[object]]) -> OperationCounts:
    """Await *operation*, and count from its first step to its last, on the running loop.

    What other tasks of the loop do meanwhile counts as well.
    """
    loop = asyncio.get_running_loop()
    with (
        _counting_tasks(loop) as tasks,
        _counting_turns(loop) as turns,
        _counting_callbacks(loop) as callbacks,
    ):
        await operation()
        return OperationCounts(turns.count, tasks.count, callbacks.count)


@dataclass(slots=True)
class _Counter:
    count: int | None = 0

    def add(self) -> None:
        self.count = (self.count or 0) + 1


@contextmanager
def _counting_tasks(loop: asyncio.AbstractEventLoop) -> Iterator[_Counter]:
    counter, own = _Counter(), loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, work: Any, **kwargs: Any) -> Any:
        counter.add()
        return own(loop, work, **kwargs) if own is not None else asyncio.Task(work, loop=loop, **kwargs)

    loop.set_task_factory(make)
    try:
        yield counter
    finally:
        loop.set_task_factory(own)


@contextmanager
def _counting_turns(loop: asyncio.AbstractEventLoop) -> Iterator[_Counter]:
    if (slot := SelectorSlot.of(loop)) is None:
        yield _Counter(None)  # such a loop does not show its turns
        return
    counter, select = _Counter(), slot.own

    def counting(timeout: float | None = None) -> Any:
        counter.add()
        return select(timeout)

    slot.take(counting)
    try:
        yield counter
    finally:
        slot.leave()


@contextmanager
def _counting_callbacks(loop: asyncio.AbstractEventLoop) -> Iterator[_Counter]:
    if SelectorSlot.of(loop) is None:
        yield _Counter(None)  # its handles are in C
        return
    hook, counter, here = Hook("callbacks"), _Counter(), get_ident()
    run: Callable[[asyncio.Handle], None] = vars(asyncio.Handle)["_run"]

    def counting(handle: asyncio.Handle) -> None:
        if get_ident() == here:
            counter.add()
        run(handle)

    Replacement(hook, asyncio.Handle, "_run", counting)
    try:
        yield counter
    finally:
        hook.undo()
