"""The library calls that a blocked stack went through, by the names under which people import them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TypeVar

from ..record.event import Frame
from .turn_stack import Territory, own_frames

T = TypeVar("T")

# A handler of the program's own is called by it, so its frames lie outside of the code that is blamed.
_CALLS_BACK = "logging."


def library_calls(stack: tuple[Frame, ...], territory: Territory) -> tuple[str, ...]:
    """What is below the innermost code that is no library, and logging wherever it is, outermost first.

    Names are ``module.function``: ``("queue.Queue.get", "threading.Condition.wait")``.
    """
    inside = own_frames(stack)
    start = len(inside)
    while start and territory.is_library(inside[start - 1]):
        start -= 1
    outer = (_name(frame, territory) for frame in inside[:start] if territory.is_library(frame))
    inner = (_name(frame, territory) for frame in inside[start:])
    return (*(name for name in outer if name.startswith(_CALLS_BACK)), *inner)


def find(call: str, table: Mapping[str, T]) -> T | None:
    """The entry of *table* for *call*, or for the innermost class, module or package that it is in."""
    while call and call not in table:
        call = call.rpartition(".")[0]
    return table.get(call)


def _name(frame: Frame, territory: Territory) -> str:
    # What is frozen into the interpreter, as <frozen os>, has a name and no path.
    file = frame.file.removeprefix("<frozen ").removesuffix(">")
    path = PurePath(territory.short(file)).with_suffix("")
    module = path.parent if path.name == "__init__" else path
    return ".".join((*module.parts, frame.function))
