"""Lessons on testing coroutines: what mocks prove."""

from __future__ import annotations

import inspect
from unittest.mock import AsyncMock, create_autospec

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.stores.memory import MemoryStore
from tests.mayhem.support.stage import staged


async def test_a_mock_agrees_to_what_a_fake_refuses() -> None:
    """A bare mock accepts an invalid call; a mock with the real signature and a fake do not."""
    await AsyncMock().save("a", "web-1", durable=True)
    for honest in (create_autospec(MemoryStore, instance=True), MemoryStore()):
        with pytest.raises(TypeError, match="durable"):
            await honest.save("a", "web-1", durable=True)  # type: ignore[call-arg]  # the invalid call


async def test_a_mock_made_of_the_real_one_is_awaitable() -> None:
    """`create_autospec` mocks coroutine methods as awaitable."""
    mocked = create_autospec(MemoryStore, instance=True)
    assert inspect.iscoroutinefunction(mocked.save)
    async with staged(MemoryBroker(lease_s=30), store=mocked) as stage:
        await stage.handle(await stage.delivery())

        mocked.save.assert_awaited_once_with("a", "web-1")
        assert await stage.left() == (0, {})
