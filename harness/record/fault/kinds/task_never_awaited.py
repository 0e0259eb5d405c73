"""`task.never_awaited`: a coroutine that nobody awaits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve


@dataclass(frozen=True, slots=True)
class TaskNeverAwaited:
    """The call makes a coroutine and drops it, as a forgotten `await` does."""

    shows: ClassVar[str] = "the finding about a coroutine that was never awaited, with its line"

    def describe(self) -> str:
        return "drops a coroutine"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(_drop)


def _drop() -> None:
    _forgotten()  # type: ignore[unused-coroutine]  # that is the fault


async def _forgotten() -> None:
    pass


KIND = TaskNeverAwaited
