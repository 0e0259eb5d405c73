"""The calls of an object's methods that are seen for a while."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from types import FrameType
from weakref import ref

import pytest

from harness.probe.hooks.call_tap import CallTap


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_the_calls_of_a_queue_are_seen_until_they_are_enough() -> None:
    """They do what they do anyway, and nothing is left in the object."""
    queue, callers = asyncio.Queue[int](), list[str]()
    CallTap(queue, ("_put",), lambda frame: callers.append(frame.f_code.co_name), calls=2)
    for number in range(3):
        queue.put_nowait(number)

    assert callers == ["put_nowait"] * 2
    assert [queue.get_nowait() for _ in range(3)] == [0, 1, 2]
    assert "_put" not in vars(queue)


def test_two_taps_of_a_queue_are_closed_in_any_order() -> None:
    """Both have seen the call, and the class's own method is back."""
    queue, frames = asyncio.Queue[int](), list[FrameType]()
    first, second = (CallTap(queue, ("_put",), frames.append, calls=9) for _ in range(2))
    queue.put_nowait(1)
    first.close()
    second.close()

    assert len(frames) == 2
    assert "_put" not in vars(queue)


@pytest.mark.usefixtures("no_collection")
def test_a_tapped_queue_and_its_items_are_freed_when_the_program_drops_it() -> None:
    """At once, without a collection, though the taps are open; they can be closed afterwards."""

    class Item: ...

    queue = asyncio.Queue[Item]()
    taps = [CallTap(queue, ("_put", "_get"), lambda _: None, calls=9) for _ in range(2)]
    queue.put_nowait(item := Item())
    dropped, held = ref(queue), ref(item)
    del queue, item

    assert dropped() is None
    assert held() is None
    for tap in taps:
        tap.close()
