"""The end of a queue on NATS: its streams go, with all that is in them."""

from __future__ import annotations

from nats.js.errors import NotFoundError

from ..broker_url import BrokerUrl
from .broker import ANSWER_S, Names, connected, translated


async def remove(url: str) -> None:
    """Remove the queue that *url* names; one that is not there is removed already.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    names = Names(address.queue)
    async with connected(address) as client:
        streams = client.jetstream(timeout=ANSWER_S)
        with translated(address):
            for stream in (names.queue, names.records, names.dead):
                try:
                    await streams.delete_stream(stream)
                except NotFoundError:
                    continue
