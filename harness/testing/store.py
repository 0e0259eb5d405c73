"""What every store of the chaos service must do, as checks for authors of stores.

A check gets a function that makes a store, and raises an `AssertionError` that says what was expected::

    @asynccontextmanager
    async def make() -> AsyncIterator[StoreBench]:
        async with connect(url) as store:
            yield StoreBench(store, read_the_table)

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
    async def test_my_store(check):
        await check(make)

Saved data is not read through the store: a save counts when another reader can see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

from ..mayhem.errors import MalformedMessageError
from .expect import same, true

HOST, OTHER_HOST = "web-1", "web-2"
# A check that has not ended after this time fails: it waits for something that does not happen.
PATIENCE_S = 30.0
# Limit on the number of loop turns before a save is cancelled; it grows until a save finishes first.
MAX_PASSES = 100_000

# All are different, and none may be interpreted.
UNUSUAL = (
    "",
    " ",
    "a",
    "A",
    "a ",
    "a\nb",
    "é",
    "e\u0301",
    "日本語 🐍",
    "'); DROP TABLE saved; --",
    '"$1" ? %s :id {} \\',
    "x" * 1_000,
)
# A store may reject these.
UNFIT = ("a\0b", "\ud800", "".join(Random(1).choices("0123456789abcdef", k=20_000)))


class StoreUnderTest(Protocol):
    """`harness.mayhem.ports.Store`."""

    async def save(self, message_id: str, host: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreBench:
    """An empty store, and a way to read what it holds."""

    store: StoreUnderTest
    # By message id: the host, and the number of saves.
    kept: Callable[[], Awaitable[Mapping[str, tuple[str, int]]]]


Make = Callable[[], AbstractAsyncContextManager[StoreBench]]
Check = Callable[[Make], Awaitable[None]]


async def what_save_returned_from_is_kept(make: Make) -> None:
    """Once `save` has returned, other readers see the message."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        for number in range(1, 4):
            await bench.store.save(f"m-{number}", HOST)
            same(await bench.kept(), {f"m-{n}": (HOST, 1) for n in range(1, number + 1)})


async def saving_again_only_counts(make: Make) -> None:
    """When a message is saved again, the first host is kept, whatever the later one is."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        for host in (HOST, HOST, OTHER_HOST):
            await bench.store.save("m", host)

        same(await bench.kept(), {"m": (HOST, 3)})


async def the_same_id_may_be_saved_at_once(make: Make) -> None:
    """Concurrent saves of one message are all counted, and none fails."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(bench.store.save("m", HOST) for _ in range(30)))

        same(await bench.kept(), {"m": (HOST, 30)})


async def many_may_be_saved_at_once(make: Make) -> None:
    """More concurrent saves than any pool has connections are all kept, each with its own host."""
    expected = {f"m-{number}": (f"web-{number}", 1) for number in range(300)}
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(bench.store.save(key, host) for key, (host, _) in expected.items()))

        same(await bench.kept(), expected)


async def a_cancelled_save_leaves_the_store_usable(make: Make) -> None:
    """At whatever point a save is cancelled, it can be repeated, and concurrent saves are not disturbed."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        expected: dict[str, str] = {}
        passes = 0
        finished = False
        while not finished and passes < MAX_PASSES:
            beside = f"beside-{passes}"
            cancelled = asyncio.create_task(bench.store.save(f"m-{passes}", f"web-{passes}"))
            undisturbed = asyncio.create_task(bench.store.save(beside, beside))
            for _ in range(passes):
                await asyncio.sleep(0)
            finished = not cancelled.cancel()
            with suppress(asyncio.CancelledError):
                await cancelled
            await undisturbed
            await bench.store.save(f"m-{passes}", f"web-{passes}")
            expected |= {f"m-{passes}": f"web-{passes}", beside: beside}
            passes = passes + 1 + passes // 4
        true(finished, f"no save finished within {MAX_PASSES} turns of the loop")

        kept = await bench.kept()
        same({key: host for key, (host, _) in kept.items()}, expected)
        for key, (_, times) in kept.items():
            true(times == 1 or (times == 2 and key.startswith("m-")), f"{key} was saved {times} times")


async def unusual_text_is_kept_as_it_is(make: Make) -> None:
    """Ids and hosts are plain text: they are not executed, matched as patterns or case-folded."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        for text in UNUSUAL:
            await bench.store.save(text, text)

        same(await bench.kept(), {text: (text, 1) for text in UNUSUAL})


async def what_cannot_be_kept_is_malformed(make: Make) -> None:
    """An id that the store cannot keep raises `MalformedMessageError`, and the next save works."""
    async with make() as bench, asyncio.timeout(PATIENCE_S):
        fit = ["m"]
        for text in UNFIT:
            try:
                await bench.store.save(text, HOST)
            except MalformedMessageError:
                continue
            fit.append(text)
        await bench.store.save("m", HOST)

        same(await bench.kept(), dict.fromkeys(fit, (HOST, 1)))


STORE_CHECKS: tuple[Check, ...] = (
    what_save_returned_from_is_kept,
    saving_again_only_counts,
    the_same_id_may_be_saved_at_once,
    many_may_be_saved_at_once,
    a_cancelled_save_leaves_the_store_usable,
    unusual_text_is_kept_as_it_is,
    what_cannot_be_kept_is_malformed,
)
