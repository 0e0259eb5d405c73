"""What a task can reach, and who waits for whom in a circle."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from weakref import ref

import pytest

from harness.probe.hooks.state import reference_state
from harness.probe.tasks.holder import CIRCLE, NEAR, Holders, cause_of, is_near


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


async def test_what_a_large_collection_at_hand_holds_may_be_anything() -> None:
    """It is not searched, so nobody is said to have lost what may be in it."""
    data = [object()] * (reference_state.MOST + 1)

    assert await is_found(data, asyncio.Lock())
    assert await is_found(SimpleNamespace(by_key=dict(enumerate(data))), asyncio.Lock())
    assert not await is_found(data[:-1], asyncio.Lock())


async def test_things_that_refer_to_each_other_are_searched_once() -> None:
    """The search ends, and finds what is beside them."""
    thing = asyncio.Lock()
    one, other = SimpleNamespace(), SimpleNamespace()
    one.other, other.one = other, one

    assert not await is_found(one, thing)
    other.lock = thing
    assert await is_found(one, thing)


async def locks(lock: asyncio.Lock) -> None:
    async with lock:
        pass


@pytest.mark.parametrize(("needs_the_same", "cause"), [(True, CIRCLE), (False, "")])
async def test_a_task_that_is_awaited_inside_of_the_lock_that_it_needs_is_a_circle(
    needs_the_same: bool, cause: str
) -> None:
    """One that needs another lock will have it some day."""
    lock, other = asyncio.Lock(), asyncio.Lock()
    await other.acquire()
    needs = asyncio.create_task(locks(other))

    async def holds() -> None:
        async with lock:
            await (asyncio.create_task(locks(lock)) if needs_the_same else needs)

    holder = asyncio.create_task(holds())
    await asyncio.sleep(0)
    waits = asyncio.create_task(locks(lock))
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    holders = Holders({(0, 0, 0): set(map(ref, tasks))})
    found = cause_of(iter([waits]), lock, holders, told=set())
    for task in (holder, waits, needs):
        task.cancel()
    await asyncio.wait(tasks)

    assert found == cause
