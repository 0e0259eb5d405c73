"""`task.cancel`: the task that makes the call is cancelled at its next await."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve
from ..running_loop import running_task


@dataclass(frozen=True, slots=True)
class TaskCancel:
    """The call cancels the task that makes it, as a client that goes away or a time limit does."""

    shows: ClassVar[str] = (
        "what is lost or done twice when a task ends there, and who swallows the cancellation"
    )

    def describe(self) -> str:
        return "cancels the task that calls"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(_cancel, fits=lambda: running_task() is not None)


def _cancel() -> None:
    if (task := running_task()) is not None:
        task.cancel("injected fault")


KIND = TaskCancel
