"""Lists the tasks that may have run in a turn that was not sampled, because its code held the GIL."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from ...record.observation import StepCandidate
from ..hooks.state import loop_state
from ..tasks import identity, register
from .victims import MOST_CALLBACKS

# More candidates than this would not help to find the one that ran.
NAMED = 100


def of_turn(loop: AbstractEventLoop) -> tuple[StepCandidate, ...]:
    """The tasks that ended in the turn, and those that are pending; none if there are too many.

    To be called on the loop's thread, between this turn and the next.
    """
    found = dict.fromkeys(islice(chain(_ended(loop), _alive(loop)), NAMED + 1))
    if len(found) > NAMED:
        return ()
    return tuple(StepCandidate(*identity.of_task(task)) for task in found)


def _ended(loop: AbstractEventLoop) -> Iterator[Task[Any]]:
    """The tasks that have just ended: the callbacks that wait for them are ready, with them as arguments."""
    for handle in islice(loop_state.ready_now(loop), MOST_CALLBACKS):
        yield from (arg for arg in loop_state.arguments(handle) if issubclass(type(arg), Task) and arg.done())


def _alive(loop: AbstractEventLoop) -> Iterator[Task[Any]]:
    for reference in register.registered() or ():
        task = reference()
        if task is not None and not task.done() and task.get_loop() is loop:
            yield task
