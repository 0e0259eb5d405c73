"""What a task can reach."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from harness.probe.tasks.holder import NEAR, is_near


async def kept(thing: object) -> object:
    """Waits, with *thing* at hand."""
    await asyncio.get_running_loop().create_future()
    return thing


async def is_found(at_hand: object, thing: object) -> bool:
    """Whether *thing* is near a task that has *at_hand*."""
    task = asyncio.create_task(kept(at_hand))
    await asyncio.sleep(0)
    found = is_near(task, thing)
    task.cancel()
    await asyncio.wait([task])
    return found


async def test_what_an_object_of_an_object_has_is_near() -> None:
    """It itself, an attribute, and an attribute of an attribute; one step more is too far."""
    thing = asyncio.Lock()
    chain: list[object] = [thing]
    for _ in range(NEAR):
        chain.append(SimpleNamespace(part=chain[-1]))

    assert [await is_found(at_hand, thing) for at_hand in chain] == [True] * NEAR + [False]


async def test_what_only_a_function_leads_to_is_not_near() -> None:
    """From one, everything could be reached."""
    thing = asyncio.Lock()

    def releases() -> None:
        thing.release()

    assert not await is_found(SimpleNamespace(call=releases), thing)
    assert not await is_found(asyncio, asyncio.Lock)
    assert await is_found(SimpleNamespace(call=releases, lock=thing), thing)


async def test_things_that_refer_to_each_other_are_searched_once() -> None:
    """The search ends, and finds what is beside them."""
    thing = asyncio.Lock()
    one, other = SimpleNamespace(), SimpleNamespace()
    one.other, other.one = other, one

    assert not await is_found(one, thing)
    other.lock = thing
    assert await is_found(one, thing)
