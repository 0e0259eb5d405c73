"""Which tasks may have taken a step in a turn that nobody could look at, because its code held the GIL."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ...record.observation import StepCandidate
from ..hooks import loop_state
from ..tasks import census, identity
from .victims import LOOKED_AT

# With more than this the one that ran would not be told from the others.
NAMED = 100


def of_turn(loop: AbstractEventLoop) -> tuple[StepCandidate, ...]:
    """The tasks that ended in the turn, and those that live; none if they are too many.

    On the loop's thread, between the turn and the next.
    """
    found = dict.fromkeys(islice((*_ended(loop), *_alive(loop)), NAMED + 1))
    if len(found) > NAMED:
        return ()
    return tuple(StepCandidate(*identity.of_task(task)) for task in found)


def _ended(loop: AbstractEventLoop) -> Iterator[Task[Any]]:
    """A task that ends is handed to those who waited for it, and they are ready now."""
    for handle in islice(loop_state.ready(loop), LOOKED_AT):
        yield from (arg for arg in loop_state.arguments(handle) if isinstance(arg, Task) and arg.done())


def _alive(loop: AbstractEventLoop) -> Iterator[Task[Any]]:
    for reference in census.registered() or ():
        task = reference()
        if task is not None and not task.done() and task.get_loop() is loop:
            yield task
