"""References to objects of the program, and from them, that change nothing of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref


def to(thing: Any) -> Callable[[], Any]:
    """A weak reference to *thing*, or a strong one where its class permits none."""
    try:
        return ref(thing)
    except TypeError:
        return lambda: thing


def held_by(thing: object) -> list[Any]:
    """What *thing* refers to."""
    return gc.get_referents(thing)
