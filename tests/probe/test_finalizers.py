"""The program's finalizers run in its own threads, though the probe has threads beside them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record.hidden_thread import Background
from harness.record.process import collection
from tests.support.pythons import EACH, needs_python
from tests.support.watched import watched

# A collection after each thirty allocations, so that many would be due while a thread of the probe works.
PROGRAM = """
    import asyncio, gc, json, os, threading, time

    THRESHOLD = (30, 10, 10)
    ran_in, seen = [], set()

    class Job:
        def __init__(self):
            self.itself = self

        def __del__(self):
            ran_in.append(threading.get_ident())

    def child_of_a_fork():
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, repr(gc.get_threshold()[:2]).encode())
            os._exit(0)
        os.close(write)
        os.wait()
        seen.add(os.read(read, 100).decode())
        os.close(read)

    async def work():
        while len(ran_in) <= 5_000:  # not for so long: a busy machine would make too few
            Job()
            await asyncio.sleep(0.001)
        for _ in range(30):
            child_of_a_fork()
            await asyncio.sleep(0.01)

    async def main():
        await asyncio.gather(*(work() for _ in range(5)))

    gc.set_threshold(*THRESHOLD)
    asyncio.run(main())
    ends = time.monotonic()
    # A thread of the probe may be at work, or about to start, at this moment.
    while gc.get_threshold()[:2] != THRESHOLD[:2] and time.monotonic() < ends + 5:
        time.sleep(0.001)
    elsewhere = sum(ident != threading.get_ident() for ident in ran_in)
    print(json.dumps([len(ran_in), elsewhere, gc.get_threshold()[:2] == THRESHOLD[:2], sorted(seen)]))
"""


@pytest.mark.parametrize("version", EACH)
def test_a_finalizer_runs_in_the_only_thread_of_the_program(version: str, tmp_path: Path) -> None:
    """Whatever the probe does beside it. Its threshold is as it has set it, and its children's as well."""
    python = needs_python(version)
    ran = watched(PROGRAM, tmp_path, python=python, sample_hz=100, waits=1.0, calls=True)
    finalized, elsewhere, is_kept, of_children = ran.said

    assert finalized > 5_000
    # Without the raised threshold, 4 %. A collection that is due just when a thread of the probe gets the GIL
    # back may begin before its next instruction: in most runs none does, on a busy machine 0.4 % at most.
    assert elsewhere * 100 < finalized
    assert is_kept
    assert of_children == ["(30, 10)"]


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    """What this process has, and has again after the test."""
    before = gc.get_threshold()
    collection.spare()
    yield before
    gc.set_threshold(*before)


def test_while_a_hidden_thread_works_no_allocation_starts_a_collection(
    threshold: tuple[int, int, int],
) -> None:
    """While it waits, one may; and after it."""
    seen: list[int] = []

    def work() -> None:
        with collection.elsewhere:
            seen.append(gc.get_threshold()[0])
            with collection.possible:
                seen.append(gc.get_threshold()[0])
            seen.append(gc.get_threshold()[0])

    Background(work).join()

    assert seen == [collection.NEVER, threshold[0], collection.NEVER]
    assert gc.get_threshold() == threshold
    with collection.possible:  # in a thread of the program
        assert gc.get_threshold() == threshold
    assert gc.get_threshold() == threshold


def test_what_the_program_sets_meanwhile_stays(threshold: tuple[int, int, int]) -> None:
    """Also that it wants no collections at all."""
    for own in ((123, 4, threshold[2]), (0, 4, threshold[2])):

        def work(own: tuple[int, int, int] = own) -> None:
            with collection.elsewhere:
                gc.set_threshold(*own)

        Background(work).join()
        assert gc.get_threshold()[:2] == own[:2]
        Background(lambda: collection.elsewhere.__enter__()).join()
        assert gc.get_threshold()[0] == (collection.NEVER if own[0] else 0)
        collection.take_back()
        assert gc.get_threshold()[:2] == own[:2]


SEEN = """
    import asyncio, gc, time

    seen = set()

    async def main():
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                seen.add(gc.get_threshold()[:2])
            await asyncio.sleep(0)

    gc.set_threshold(123, 7, 10)
    asyncio.run(main())
    print(sorted(seen))
"""


def test_the_program_sees_the_threshold_that_it_has_set(tmp_path: Path) -> None:
    """A program that multiplies what it has would never collect again."""
    assert watched(SEEN, tmp_path, sample_hz=100).stdout.strip() == "[(123, 7)]"
