"""Small numbers for objects of the program, assigned when first shown and never reused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import ref

T = TypeVar("T")

# With fewer numbers than this, those of collected objects are not removed.
LEAST = 1_000


class ObjectIds(Generic[T]):
    """The numbers of one kind of object.

    The references are weak and have no callbacks: showing an object once must not cost the program anything
    when the object is collected.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[int, tuple[int, ref[T]]] = {}
        self._by_number: dict[int, ref[T]] = {}
        self._last = 0
        self._prune_at = LEAST

    def number(self, thing: T) -> int:
        """The number of *thing*, assigned now if it has none."""
        with self._lock:
            known = self._by_id.get(id(thing))
            # Another object may have the `id` of one that was collected.
            if known is not None and known[1]() is thing:
                return known[0]
            self._last += 1
            weak = ref(thing)
            self._by_id[id(thing)] = self._last, weak
            self._by_number[self._last] = weak
            if len(self._by_number) >= self._prune_at:
                self._prune()
            return self._last

    def get(self, number: int) -> T | None:
        """The object with that number; `None` if it was collected, or the number never assigned."""
        weak = self._by_number.get(number)
        return weak() if weak is not None else None

    def was_assigned(self, number: int) -> bool:
        """Whether an object has or had that number."""
        return 0 < number <= self._last

    def __iter__(self) -> Iterator[int]:
        return iter([number for number, weak in list(self._by_number.items()) if weak() is not None])

    def _prune(self) -> None:
        self._by_number = {n: weak for n, weak in self._by_number.items() if weak() is not None}
        self._by_id = {key: known for key, known in self._by_id.items() if known[1]() is not None}
        self._prune_at = max(LEAST, 2 * len(self._by_number))
