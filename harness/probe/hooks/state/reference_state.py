"""References to objects of the program, and from them, that change nothing of it.

The collector lists what an object refers to in one step, during which nothing else of the process runs. For a
large collection that takes a second. So no collection of unknown size is given to it.
"""

from __future__ import annotations

import functools
import gc
from _queue import SimpleQueue  # the module behind `queue`
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, islice
from types import FunctionType, MappingProxyType, WrapperDescriptorType
from typing import Any
from weakref import ref

# Of a larger collection, only so many parts are taken. That many are listed in a tenth of a millisecond.
MOST = 2_000

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class statement makes such types
_ASKED = ("__getattr__", "__getattribute__")
_SEQUENCES = (list, tuple)
_ITERABLES = (set, frozenset, deque)
_COLLECTIONS = (dict, *_SEQUENCES, *_ITERABLES)
# A cache refers to each of its results, and a queue in C to its items; neither has a length.
_CACHE = type(functools.lru_cache(len))
_UNKNOWN = (_CACHE, SimpleQueue)
# These have a length, and refer to one other collection.
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()), MappingProxyType)


def to(thing: Any) -> Callable[[], Any]:
    """A weak reference to *thing*, or a strong one where its class permits none."""
    try:
        return ref(thing)
    except TypeError:
        return lambda: thing


def held_by(thing: object, most: int = MOST) -> list[Any]:
    """What *thing* refers to, at most *most* objects, in the order of the collector.

    Of a large sequence these are the last ones, as the collector begins there. Of a collection in C whose
    size cannot be known, there are none.
    """
    size = size_of(thing)
    if size is None:
        return [] if _is_of_unknown_size(type(thing)) else gc.get_referents(thing)[:most]
    return gc.get_referents(thing)[:most] if size <= MOST else _some(thing, most)


def size_of(thing: Any) -> int | None:
    """The number of items of one of Python's collections; `None` of anything else. No method is asked."""
    kind = type(thing)
    if not issubclass(kind, _COLLECTIONS):
        return None
    base = next(base for base in _COLLECTIONS if issubclass(kind, base))
    return base.__len__(thing)


def has_python_class(thing: object) -> bool:
    """Whether the class of *thing* was made by a class statement, or as one is."""
    return bool(type(thing).__flags__ & _HEAP_TYPE)


def attribute(thing: object, name: str) -> Any:
    """An attribute of *thing*; `None` if it has none, or if the program's own code would be asked for it.

    So of a proxy or a mock, which answers any name.
    """
    kind = type(thing)
    if has_python_class(thing) and kind is not FunctionType:
        for base in kind.__mro__:
            if any(type(base.__dict__.get(asked)) is FunctionType for asked in _ASKED):
                return None
            if type(base.__dict__.get(name)) is property:
                return None
    return getattr(thing, name, None)


def is_cache(thing: object) -> bool:
    """Whether *thing* is a function whose results `functools.lru_cache` keeps."""
    return issubclass(type(thing), _CACHE)


def is_large(thing: object) -> bool:
    """Whether *thing* is a collection of which `held_by` lists only a part."""
    return (size_of(thing) or 0) > MOST


def _some(thing: Any, most: int) -> list[Any]:
    kind = type(thing)
    for sequence in _SEQUENCES:
        if issubclass(kind, sequence):
            return list(sequence.__getitem__(thing, slice(-most, None)))[::-1]
    # In one step of the interpreter; yet an allocation may start the collector, and that a finalizer.
    with suppress(RuntimeError):
        if issubclass(kind, dict):
            return list(islice(chain.from_iterable(dict.items(thing)), most))
        base: Any = next(base for base in _ITERABLES if issubclass(kind, base))
        return list(islice(base.__iter__(thing), most))
    return []


def _is_of_unknown_size(kind: type) -> bool:
    if issubclass(kind, _UNKNOWN):
        return True
    return not issubclass(kind, _VIEWS) and any(
        type(base.__dict__.get("__len__")) is WrapperDescriptorType for base in kind.__mro__
    )
