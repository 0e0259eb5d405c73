"""Where large collections of a program are found, and by what name."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from weakref import ref

import pytest

from harness.probe.gauges import large_collections
from harness.probe.gauges.large_collections import LEAST_ITEMS, LargeCollections
from harness.probe.tasks import register
from harness.read.finding import Level
from harness.record.observation import CollectionsRead, Observation
from harness.record.process import collection
from tests.support.judged import findings_of, program_line
from tests.support.watched import watched

SOURCE = f"""
from functools import cache, lru_cache
from collections import deque

N = {LEAST_ITEMS}

class Table(dict):
    def __len__(self): raise RuntimeError("nobody may ask")
    __iter__ = __getitem__ = items = values = keys = __len__

class Cache:
    by_class = dict.fromkeys(range(N))
    def __init__(self):
        self.pages = list(range(N))

class Slotted:
    __slots__ = ("rows",)
    def __init__(self):
        self.rows = set(range(N))

class App:
    def __init__(self):
        self.slotted = Slotted()

@cache
def found(key): return [key]

@lru_cache(10 * N)
def kept(key): return [key]

_seen = dict.fromkeys(range(N))
_small = dict.fromkeys(range(N - 1))
table = Table.fromkeys(range(N))
by_topic = {{"a": deque(range(N)), "b": deque(range(N)), "c": []}}
cache_, app = Cache(), App()
for key in range(N):
    found(key), kept(key)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The file of a module of the program, which is imported."""
    monkeypatch.setattr(large_collections, "SUSPICIOUS_BYTES", 0)
    module = ModuleType("shop_with_collections")
    module.__file__ = str(path := tmp_path / "shop.py")
    path.write_text(SOURCE)
    exec(compile(SOURCE, str(path), "exec"), vars(module))
    sys.modules[module.__name__] = module
    yield str(path)
    del sys.modules[module.__name__]


def read() -> CollectionsRead:
    """What one look finds."""
    written: list[Observation] = []
    LargeCollections(written.append).look(last=True)
    (event,) = written
    assert isinstance(event, CollectionsRead)
    return event


def test_collections_are_found_by_the_names_that_the_program_has_for_them(program: str) -> None:
    """Global names, attributes of classes and objects, cached results; small ones are left out."""
    levels = {
        (level.kind, level.holder, level.name): level.items
        for level in read().collections
        if level.file == program
    }

    n = LEAST_ITEMS
    assert levels.pop(("dict", "global", "_seen")) == n
    assert levels.pop(("Table", "global", "table")) == n
    assert levels.pop(("deque", "global", "by_topic")) == 2 * n
    assert levels.pop(("dict", "attribute", "Cache.by_class")) == n
    assert levels.pop(("set", "object", "Slotted")) == n
    assert levels.pop(("cache", "variable", "found")) == n
    assert levels.pop(("lru_cache", "variable", "kept")) == n
    # The names of an object's attributes are known only where it has a dictionary of its own.
    assert levels.popitem() in [((("list", holder, name)), n) for holder, name in _CACHED_PAGES]
    assert levels == {}


_CACHED_PAGES = (("object", "Cache"), ("attribute", "Cache.pages"))


async def test_a_variable_of_a_suspended_task_is_found_with_its_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that a function inside uses, too; not that of a task that is done."""
    monkeypatch.setattr(large_collections, "SUSPICIOUS_BYTES", 0)
    register.loop_begins(asyncio.get_running_loop())

    async def gather(*, shared: bool, ends: bool = False) -> object:
        results = OrderedDict.fromkeys(range(LEAST_ITEMS))
        if not ends:
            await asyncio.get_running_loop().create_future()
        return (lambda: results) if shared else None

    tasks = [asyncio.create_task(gather(shared=True)) for _ in range(3)]
    done = asyncio.create_task(gather(shared=True, ends=True))
    await done
    (found,) = [level for level in read().collections if level.kind == "OrderedDict"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert (found.holder, found.name.rpartition(".")[2], found.file) == ("variable", "gather", __file__)
    assert found.items == 3 * LEAST_ITEMS


def test_nothing_is_searched_until_the_memory_has_grown(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then everything is; and after that only what has led to something, until it has grown by much."""
    searched: list[str] = []
    search_module = large_collections._Walk._search_module

    def counted(walk: large_collections._Walk, module: ModuleType, file: str) -> None:
        searched.append(module.__name__)
        search_module(walk, module, file)

    monkeypatch.setattr(large_collections._Walk, "_search_module", counted)
    monkeypatch.setattr(large_collections, "SUSPICIOUS_BYTES", 10**12)
    search = LargeCollections(lambda _: None)
    search.look()
    assert searched == []
    monkeypatch.setattr(large_collections, "SUSPICIOUS_BYTES", 0)
    search.look()
    everything = len(searched)
    search.look()

    assert "shop_with_collections" in searched[everything:]
    assert len(searched) - everything < everything


def test_the_size_is_estimated_from_some_of_the_items(program: str) -> None:
    """A thousand numbers and their places in a dictionary take some hundred bytes each."""
    (seen,) = [level for level in read().collections if level.name == "_seen"]

    assert 30 * LEAST_ITEMS < seen.size_bytes < 300 * LEAST_ITEMS


@pytest.mark.usefixtures("program")
def test_a_process_serves_if_one_of_its_sockets_accepts_connections() -> None:
    """Whatever loop has it; a connected one does not count."""
    here, there = socket.socketpair()
    with here, there:
        before = read().serves
        with socket.create_server(("127.0.0.1", 0)):
            assert read().serves
    assert not before


# A service that keeps the body of each request.
LEAKING = """
    import asyncio, time

    seen = {}

    async def serve(reader, writer):
        writer.close()

    async def handle(number):
        seen[f"request {number}"] = {"number": number, "body": bytes(4_000)}

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0):
            number, ends = 0, time.monotonic() + 12
            while time.monotonic() < ends:
                for number in range(number + 1, number + 41):
                    await handle(number)
                await asyncio.sleep(0.01)

    asyncio.run(main())
"""


@pytest.mark.long
def test_what_keeps_the_memory_of_a_service_is_a_trouble(tmp_path: Path) -> None:
    """The collection, and the line that adds to it."""
    (finding,) = findings_of("growth", watched(LEAKING, tmp_path))

    line = program_line("seen[f", tmp_path)
    assert (finding.level, finding.line) == (Level.WARNING, line)
    assert finding.message.startswith("the dict seen (program.py) grew from ")
    assert f"handle (program.py:{line}) adds to it" in finding.message


def test_a_search_keeps_nothing_of_the_program_alive_in_its_pauses(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program drops meanwhile is freed at once, in the program's own thread."""
    module = sys.modules["shop_with_collections"]
    names = [f"app_{number}" for number in range(large_collections.AT_ONCE * 5)]
    vars(module).update((name, module.App()) for name in names)
    freed: list[bool] = []

    def drop_one(_seconds: float) -> None:
        app = ref(vars(module).pop(names.pop()))
        freed.append(app() is None)

    # In place of the pause, in which another thread may do so.
    monkeypatch.setattr(collection, "sleep", drop_one)
    LargeCollections(lambda _: None).look()

    assert len(freed) > 5
    assert all(freed)
