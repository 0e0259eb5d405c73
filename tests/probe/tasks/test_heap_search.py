"""The search for tasks that are done and still exist finds them, and costs no more than it may."""

from __future__ import annotations

import asyncio
from weakref import ref

import pytest

from harness.probe.tasks import heap_search
from harness.probe.tasks.heap_search import ALLOWANCE_NS, HeapSearch
from harness.probe.tasks.register import FORGETS_DONE
from harness.probe.threads import thread_file


async def finished() -> asyncio.Task[None]:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    return task


@pytest.mark.skipif(not FORGETS_DONE, reason="before 3.14 asyncio's register has them")
@pytest.mark.parametrize("asked", [False, True])
async def test_a_task_that_is_done_is_found_for_as_long_as_it_exists(asked: bool) -> None:
    """It and the running one, whoever asks."""
    kept = await finished()
    gone = ref(await finished())
    await asyncio.sleep(0)  # the loop refers to it until its turn is over
    found = HeapSearch().tasks(asked=asked)

    assert found is not None
    assert {ref(kept), ref(asyncio.current_task())} <= found
    assert gone() is None
    assert not any(task() is None for task in found)


def test_searches_that_are_asked_for_again_and_again_keep_to_their_allowance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a program that runs a loop for each of its calls: with a hundred objects and with a million."""
    objects = [[number] for number in range(300_000)]
    # The memory that other tests have left here would be too much for any search.
    monkeypatch.setattr(heap_search, "BYTES_PER_NS", 10**9)
    monkeypatch.setattr(heap_search, "REST", 10**9)
    # As many times what a search takes here and now as it is for one of usual length.
    (usual := HeapSearch()).tasks(asked=True)
    monkeypatch.setattr(heap_search, "ALLOWANCE_NS", allowance_ns := 8 * usual.spent_ns)
    search, longest_ns, answers = HeapSearch(), 0, 0
    while (before_ns := search.spent_ns) <= allowance_ns and search.tasks(asked=True) is not None:
        longest_ns, answers = max(longest_ns, search.spent_ns - before_ns), answers + 1

    assert objects
    assert answers > 1
    assert search.spent_ns <= allowance_ns + longest_ns
    assert search.tasks(asked=True) is None


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that this process may grow by until it counts as large, with what other tests have left it."""
    bytes_now = thread_file.resident_bytes()
    assert bytes_now is not None
    monkeypatch.setattr(heap_search, "LARGE_BYTES", bytes_now + 50_000_000)
    monkeypatch.setattr(heap_search, "ALLOWANCE_NS", ALLOWANCE_NS + bytes_now)
    return 50_000_000


def test_beside_much_memory_a_loop_that_runs_is_not_held_up(room: int) -> None:
    """How long a search takes grows with the memory; as a loop stops it may take longer."""
    assert HeapSearch().tasks(asked=False) is not None
    memory = bytearray(room)
    memory[::1024] = bytes(len(memory[::1024]))  # so that the kernel gives it

    assert HeapSearch().tasks(asked=False) is None
    assert HeapSearch().tasks(asked=True) is not None


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("rest", "most_ns", "again"), [(0, 10**12, True), (400, 10**12, False), (0, 0, False)]
)
def test_while_the_loop_runs_no_search_comes_soon_or_after_a_slow_one(
    rest: int, most_ns: int, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does any once they are stopped, whoever asks."""
    monkeypatch.setattr(heap_search, "REST", rest)
    monkeypatch.setattr(heap_search, "MOST_NS", most_ns)
    search = HeapSearch()

    assert search.tasks(asked=False) is not None
    assert (search.tasks(asked=False) is not None) == again
    search.stop()
    assert search.tasks(asked=True) is None
