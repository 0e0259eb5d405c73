"""Tables of libraries: entries for packages, modules, classes or functions, found for a single call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def find(call: str, table: Mapping[str, T]) -> T | None:
    """The entry of *table* for *call*, or for the innermost class, module or package that it is in.

    *call* is named as in `TurnStack.library_calls`: ``queue.Queue.get``.
    """
    while call and call not in table:
        call = call.rpartition(".")[0]
    return table.get(call)
