"""What the source of a program says of a collection that grows."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from harness.read.gauges.filling import Filling, filling
from harness.record.event import CollectionLevel, Frame

SOURCE = dedent(
    """\
    import heapq
    from collections import deque
    from functools import cache, lru_cache

    seen, sizes, jobs = {}, [], []
    recent: list[int] = []
    queue = deque()


    def note(key):
        seen[key] = key
        seen.setdefault(key, []).append(key)
        sizes.append(key)


    def trim():
        del sizes[:-100]


    def reset():
        global recent
        recent = []


    def put(job):
        recent.append(job)
        heapq.heappush(jobs, job)
        queue.append(job)
        return queue.popleft()


    class Cache:
        by_class = {}

        def __init__(self):
            self.pages = {}
            self.hits = []

        def keep(self, key, page):
            self.pages[key] = page
            Cache.by_class.setdefault(key, set()).add(page)

        class Inner:
            def add(self, item):
                self.items += [item]


    async def main(source):
        results = []
        async for item in source:
            results.append(item)


    async def two(source):
        first, second = [], []
        first.append(source)
        second.append(source)


    async def window(source):
        last = []
        while True:
            last.append(await source.get())
            if len(last) > 10:
                last = last[1:]


    @cache
    def found(key):
        return key


    @lru_cache(5_000)
    def kept(key):
        return key
    """
)


def line(text: str, nth: int = 0) -> int:
    return [number for number, one in enumerate(SOURCE.splitlines(), 1) if text in one][nth]


def of(path: Path, holder: str, name: str, kind: str = "dict") -> Filling:
    path.write_text(SOURCE)
    return filling(CollectionLevel(kind, holder, name, str(path), 10_000, 1_000_000))


@pytest.mark.parametrize(
    ("holder", "name", "kind", "lines", "has_no_end"),
    [
        ("global", "seen", "dict", [("note", "seen[key] ="), ("note", "seen.setdefault")], True),
        ("global", "sizes", "list", [("note", "sizes.append")], False),
        ("global", "recent", "list", [("put", "recent.append")], False),
        ("global", "jobs", "list", [("put", "heappush(jobs")], True),
        ("global", "queue", "deque", [("put", "queue.append")], False),
        ("global", "seen", "TTLCache", [("note", "seen[key] ="), ("note", "seen.setdefault")], False),
        ("attribute", "Cache.pages", "dict", [("Cache.keep", "self.pages[")], True),
        ("attribute", "Cache.by_class", "dict", [("Cache.keep", "by_class.setdefault")], True),
        ("attribute", "Cache.Inner.items", "list", [("Cache.Inner.add", "self.items +=")], True),
        ("object", "Cache.Inner", "list", [("Cache.Inner.add", "self.items +=")], True),
        ("variable", "main", "list", [("main", "results.append")], True),
        ("variable", "window", "list", [("window", "last.append")], False),
        ("variable", "found", "cache", [("found", "def found")], True),
        ("variable", "kept", "lru_cache", [("kept", "def kept")], False),
        # Two that are added to, of which neither is known to be meant; and what is not there.
        ("object", "Cache", "dict", [], False),
        ("variable", "two", "list", [], False),
        ("global", "nothing", "dict", [], False),
        ("attribute", "Nothing.pages", "dict", [], False),
        ("variable", "main.<locals>.inner", "dict", [], False),
    ],
)
def test_what_adds_to_a_collection_is_named_and_whether_anything_takes_from_it(
    holder: str, name: str, kind: str, lines: list[tuple[str, str]], has_no_end: bool, tmp_path: Path
) -> None:
    """One from which something is taken may have a bound, as one whose class is not Python's own."""
    said = of(path := tmp_path / "shop.py", holder, name, kind)

    assert said.lines == tuple(Frame(str(path), line(text), function) for function, text in lines)
    assert said.has_no_end == has_no_end


def test_a_cache_that_is_cleared_has_an_end(tmp_path: Path) -> None:
    """Somewhere in its module."""
    path = tmp_path / "shop.py"
    path.write_text(f"{SOURCE}\nfound.cache_clear()\n")

    assert not filling(CollectionLevel("cache", "variable", "found", str(path), 10_000, 0)).has_no_end


@pytest.mark.parametrize("text", [None, "def broken(:", "x = " + "(" * 5_000])
def test_of_a_source_that_cannot_be_read_nothing_is_said(text: str | None, tmp_path: Path) -> None:
    """Nor does anything fail."""
    path = tmp_path / "shop.py"
    if text is not None:
        path.write_text(text)

    assert filling(CollectionLevel("dict", "global", "seen", str(path), 10_000, 0)) == Filling()
