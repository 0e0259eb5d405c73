"""The end of a queue in Redis: its keys go, but for the ids that are still known; those end by themselves."""

from __future__ import annotations

from ..broker_url import BrokerUrl
from .broker import Keys, connected, translated


async def remove(url: str) -> None:
    """Remove the queue that *url* names; one that is not there is removed already.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    async with connected(address) as client:
        with translated(address):
            await client.unlink(*Keys.of(address.queue))
