"""Removes a queue from a NATS server: its streams, with everything in them."""

from __future__ import annotations

from contextlib import suppress

from nats.js import errors as js_errors

from ..broker_url import BrokerUrl
from .connection import connected
from .stream import StreamNames


async def remove(url: str) -> None:
    """Remove the queue at *url*, if it exists; raises as `connect` in `broker.py` does."""
    address = BrokerUrl.from_url(url)
    names = StreamNames.of(address.queue)
    async with connected(address) as connection:
        with connection.translated():
            for stream in (names.queue, names.records, names.dead):
                with suppress(js_errors.NotFoundError):
                    await connection.js.delete_stream(stream)
