"""Small numbers for objects of the target, given when one is first shown and never given again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import ref

T = TypeVar("T")

# Below this, numbers whose object is gone are not worth looking for.
LEAST = 1_000


class ObjectIds(Generic[T]):
    """The numbers of one kind of object.

    The references are weak and have no callbacks: that an object was shown once must not cost the target
    anything when it goes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[int, tuple[int, ref[T]]] = {}
        self._by_number: dict[int, ref[T]] = {}
        self._last = 0
        self._prune_at = LEAST

    def number(self, thing: T) -> int:
        """The number of *thing*; a new one if it was never shown."""
        with self._lock:
            known = self._by_id.get(id(thing))
            # Another object may lie now where one lay that is gone.
            if known is not None and known[1]() is thing:
                return known[0]
            self._last += 1
            register = ref(thing)
            self._by_id[id(thing)] = self._last, register
            self._by_number[self._last] = register
            if len(self._by_number) >= self._prune_at:
                self._prune()
            return self._last

    def thing(self, number: int) -> T | None:
        """The object of that number; `None` when it is gone, or there never was one."""
        register = self._by_number.get(number)
        return register() if register is not None else None

    def was_given(self, number: int) -> bool:
        """Whether some object had that number."""
        return 0 < number <= self._last

    def __iter__(self) -> Iterator[int]:
        return iter([number for number, register in list(self._by_number.items()) if register() is not None])

    def _prune(self) -> None:
        self._by_number = {n: register for n, register in self._by_number.items() if register() is not None}
        self._by_id = {key: known for key, known in self._by_id.items() if known[1]() is not None}
        self._prune_at = max(LEAST, 2 * len(self._by_number))
