"""Finds the large collections of a process whose memory grows, by the names that the program has for them.

They are global names and attributes of classes in the program's own modules, results that `functools` caches,
variables of suspended tasks, and attributes of the objects in all of these. Nothing of the program is called,
and no object of it is kept: what was found once is found again by its module or task.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import CellType, FunctionType, ModuleType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import CollectionLevel, CollectionsRead, Observation
from ...record.process import collection
from ...record.value import Row
from .. import code_paths
from ..hooks.state import reference_state, task_state
from ..tasks import coroutine
from ..tasks.register import registered
from ..threads import thread_file
from .queues import estimated_bytes

# The memory may grow by this much before anything is searched.
SUSPICIOUS_BYTES = 40_000_000
# After a search of everything, only what it has found is read again until the memory has grown by this share.
AGAIN = 1.5
# Smaller collections are not worth a word; this many are recorded at a time.
LEAST_ITEMS, RECORDED = 1_000, 20
# Modules and tasks that are searched, names of each module, and objects of one look.
MODULES, TASKS, NAMES, OBJECTS = 10_000, 300, 2_000, 20_000
# From so many items the size of all is estimated, and what a collection itself takes for each.
SIZED, DICT_ENTRY_BYTES, ENTRY_BYTES = 10, 50, 8
# After some objects other threads have their turn.
AT_ONCE, PAUSE_S = 200, 0.0002
# From a name to an object, to an object of that, to its collection.
DEPTH = 2
# Objects that refer to more are data, and collections in a collection are searched up to this number.
REFERENTS = 200
# Longer names are cut: they are recorded.
CHARS = 100
# The sockets on which a process listens are among its first files.
FILES = 1_024


class _Name(Row):
    """Where a name is."""

    holder: str  # as in `CollectionLevel`
    name: str
    file: str


class _Source(Row):
    """A module or a task, which leads to collections."""

    thing: Callable[[], Any]
    file: str = ""  # of a module: as a program ends, Python forgets that of `__main__`


class LargeCollections:
    """The large collections of one process."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._first_bytes: int | None = None
        self._searched_bytes = 0
        self._sources: list[_Source] = []

    def look(self, *, last: bool = False) -> None:
        """Read the levels if the memory has grown; the *last* look makes no pauses."""
        rss_bytes = thread_file.resident_bytes()
        if rss_bytes is None:
            return
        if self._first_bytes is None:
            self._first_bytes = rss_bytes
        if rss_bytes - self._first_bytes < SUSPICIOUS_BYTES:
            return
        if not self._sources or rss_bytes > self._searched_bytes * AGAIN:
            self._searched_bytes = rss_bytes
            sources = [*_modules(), *(_Source(task) for task in islice(registered() or (), TASKS))]
        else:
            sources = self._sources
        walk, self._sources = _Walk(pauses=not last), []
        for source in sources:
            walk.rest()
            if walk.search(source):
                self._sources.append(source)
        if levels := walk.levels():
            self._write(CollectionsRead(monotonic_ns(), os.getpid(), rss_bytes, _serves(), levels))


def _modules() -> Iterator[_Source]:
    """The modules of the program itself."""
    libraries = (*code_paths.libraries(), code_paths.HARNESS, "<")
    for name, module in islice(list(sys.modules.items()), MODULES):
        file = _file_of(module)
        if file and not file.startswith(libraries):
            yield _Source(partial(sys.modules.get, name), file)


def _file_of(module: object) -> str:
    file = vars(module).get("__file__") if type(module) is ModuleType else None
    return file if type(file) is str else ""


class _Walk:
    """Goes through modules and tasks, and adds up what it finds under the same name."""

    def __init__(self, *, pauses: bool) -> None:
        self._pauses = pauses
        self._seen: set[int] = set()
        self._rested = 0  # when so many were seen
        self._files: dict[str, str] = {}  # by module
        self._found: dict[tuple[str, _Name], list[int]] = {}  # items and bytes, by kind and place

    def levels(self) -> tuple[CollectionLevel, ...]:
        largest = sorted(self._found.items(), key=lambda found: -found[1][1])[:RECORDED]
        return tuple(
            CollectionLevel(kind, place.holder, place.name[-CHARS:], place.file, items, size_bytes)
            for (kind, place), (items, size_bytes) in largest
        )

    def rest(self) -> None:
        """Let other threads have their turn, now and then; meanwhile nothing of the program may be held."""
        if self._pauses and len(self._seen) - self._rested >= AT_ONCE:
            self._rested = len(self._seen)
            collection.sleep(PAUSE_S)

    def search(self, source: _Source) -> bool:
        """Search a module or a task; whether anything was found there."""
        before, thing = sum(items for items, _ in self._found.values()), source.thing()
        if type(thing) is ModuleType:
            self._files[thing.__name__] = source.file
            self._search_module(thing, source.file)
        elif thing is not None and not task_state.is_done(thing):
            self._search_task(thing)
        return sum(items for items, _ in self._found.values()) > before

    def _search_module(self, module: ModuleType, file: str) -> None:
        # The names alone: a list of the values would keep them alive while other threads have their turn.
        for name in list(vars(module))[:NAMES]:
            self.rest()
            self._search_name(module, name, file)

    def _search_name(self, module: ModuleType, name: str, file: str) -> None:
        value = vars(module).get(name)
        if type(value) is type and vars(value).get("__module__") == module.__name__:
            for key, part in list(vars(value).items()):
                self._look(part, _Name("attribute", f"{value.__qualname__}.{key}", file))
        else:
            self._look(value, _Name("global", name, file))

    def _search_task(self, task: Any) -> None:
        work = task_state.work_of(task)
        if getattr(work, "cr_running", False):
            return
        for link in coroutine.links(work):
            code = coroutine.code_of(link)
            place = _Name("variable", code.co_qualname, code.co_filename)
            for held in reference_state.held_by(link, REFERENTS):
                # A variable that functions inside of this one use, too, is in a cell.
                for value in reference_state.held_by(held) if type(held) is CellType else (held,):
                    self._look(value, place)

    def _look(self, value: Any, place: _Name, depth: int = 0) -> None:
        if id(value) in self._seen or len(self._seen) >= OBJECTS:
            return
        if (cached := _cached(value)) is not None:
            if cached.items >= LEAST_ITEMS:
                self._seen.add(id(value))
                self._add(cached.kind, _place_of(value, place), cached.items, 0)
            return
        size, kind = reference_state.size_of(value), type(value)
        if size is None and not (depth < DEPTH and reference_state.has_python_class(value)):
            return
        self._seen.add(id(value))
        if size is None:
            self._search_object(value, depth)
        elif size >= LEAST_ITEMS:
            self._add(kind.__qualname__, place, size, _size_bytes(value, size))
        elif size <= REFERENTS and kind is not tuple:
            for part in reference_state.held_by(value, REFERENTS):
                if (reference_state.size_of(part) or 0) >= LEAST_ITEMS:
                    self._look(part, place, depth)

    def _search_object(self, thing: Any, depth: int) -> None:
        kind = type(thing)
        module = str(kind.__dict__.get("__module__"))
        file = self._files.get(module) or _file_of(sys.modules.get(module))
        unnamed = _Name("object", kind.__qualname__, file)
        held = reference_state.held_by(thing, REFERENTS + 1)
        for part in held if len(held) <= REFERENTS else ():
            named = list(part.items()) if type(part) is dict and len(part) <= REFERENTS else []
            # Where an object's attributes are in a dictionary of their own, that has their names.
            if named and all(type(key) is str for key, _ in named):
                for key, value in named:
                    self._look(value, _Name("attribute", f"{kind.__qualname__}.{key}", file), depth + 1)
            elif part is not kind:
                self._look(part, unnamed, depth + 1)

    def _add(self, kind: str, place: _Name, items: int, size_bytes: int) -> None:
        known = self._found.setdefault((kind, place), [0, 0])
        known[0] += items
        known[1] += size_bytes


def _size_bytes(collection: Any, size: int) -> int:
    """The memory of a collection and its items, estimated from some of these."""
    each = 2 if issubclass(type(collection), dict) else 1  # a key and a value
    some = reference_state.held_by(collection, SIZED * each)
    return estimated_bytes(some, size * each) + (DICT_ENTRY_BYTES if each == 2 else ENTRY_BYTES) * size


class _Cached(Row):
    kind: str
    items: int


def _cached(value: Any) -> _Cached | None:
    """The results that `functools.lru_cache` has kept of a function; `None` of anything else."""
    if not reference_state.is_cache(value):
        return None
    cached = type(value).cache_info(value)
    return _Cached("cache" if cached.maxsize is None else "lru_cache", cached.currsize)


def _place_of(cache: Any, place: _Name) -> _Name:
    """The function whose results are cached."""
    function = getattr(cache, "__wrapped__", None)
    if type(function) is not FunctionType:
        return place
    return _Name("variable", function.__code__.co_qualname, function.__code__.co_filename)


def _serves() -> bool:
    """Whether a socket of this process accepts connections; the kernel is asked, whatever the loop."""
    value, size = ctypes.c_int(), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
    asked = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN, ctypes.byref(value), ctypes.byref(size))
    getsockopt = ctypes.PyDLL(None)["getsockopt"]
    return any(getsockopt(file, *asked) == 0 and value.value for file in range(FILES))
