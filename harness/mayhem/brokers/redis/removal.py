"""Removes a queue from Redis: its keys, except those of known ids, which expire by themselves."""

from __future__ import annotations

from ..broker_url import BrokerUrl
from .connection import connected, translated
from .script import Keys


async def remove(url: str) -> None:
    """Remove the queue at *url*, if it exists; raises as `connect` in `broker.py` does."""
    address = BrokerUrl.from_url(url)
    async with connected(address) as client:
        with translated(address):
            await client.unlink(*Keys.of(address.queue))
