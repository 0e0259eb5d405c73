"""One connection through a proxy: two directions, each with the faults that are in force."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ...record.fault.toxic import Ending, Piece, Toxic

CHUNK_BYTES = 65_536
UPSTREAM, DOWNSTREAM, BOTH = "upstream", "downstream", "both"


@dataclass(slots=True)
class Poison:
    """A fault in force on a proxy."""

    id: str
    toxic: Toxic
    stream: str  # the direction in which it acts
    dice: random.Random
    over: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0  # reads of data, and connections, that came by
    fired: int = 0  # of which it has changed something

    def act(self) -> None:
        """Count an effect."""
        self.fired += 1


class Link:
    """A connection of the target, and the proxy's own to the upstream service."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, poisons: Mapping[str, Poison]
    ) -> None:
        self._reader = reader
        self._writers = [writer]
        self._poisons = poisons

    async def pass_on(self, host: str, port: int) -> None:
        """Pass data on in both directions, until both have ended or one has failed."""
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            self.end(Ending.RESET)  # as the target would meet it without the proxy, but for the connect
            return
        self._writers.append(writer)
        target = self._writers[0]
        directions = {
            asyncio.ensure_future(self._pass(self._reader, writer, UPSTREAM)),
            asyncio.ensure_future(self._pass(reader, target, DOWNSTREAM)),
        }
        try:
            _, rest = await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)
            for one in rest:
                one.cancel()
        finally:
            await asyncio.gather(*directions, return_exceptions=True)
            self.end(Ending.CLOSE)

    def end(self, ending: Ending) -> None:
        """End both connections."""
        for writer in self._writers:
            if ending is Ending.RESET:
                with suppress(OSError):
                    own = writer.get_extra_info("socket")
                    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        passed: dict[str, int] = {}
        while data := await reader.read(CHUNK_BYTES):
            await self._shaped(data, list(self._acting(direction)), writer, passed)
        for poison in self._acting(direction):
            if (wait_s := poison.toxic.at_end()) > 0:
                poison.calls += 1
                poison.act()
                await _wait(poison, wait_s)
        if writer.can_write_eof():
            writer.write_eof()

    def _acting(self, direction: str) -> list[Poison]:
        return [one for one in self._poisons.values() if one.stream in (direction, BOTH)]

    async def _shaped(
        self, data: bytes, poisons: list[Poison], writer: asyncio.StreamWriter, passed: dict[str, int]
    ) -> None:
        """Send the data as the first of the faults leaves it, shaped further by the others."""
        if not poisons:
            writer.write(data)
            await writer.drain()
            return
        poison, *others = poisons
        before, poison.calls = passed.get(poison.id, 0), poison.calls + 1
        passed[poison.id] = before + len(data)
        pieces = list(poison.toxic.pieces(data, before, poison.dice))
        if pieces != [Piece(data=data)]:
            poison.act()
        for piece in pieces:
            if piece.wait_s > 0 and await _wait(poison, piece.wait_s):
                piece = piece._replace(ending=Ending.NONE)  # it was undone before that
            if piece.data:
                await self._shaped(piece.data, others, writer, passed)
            if piece.ending is not Ending.NONE:
                self.end(piece.ending)
                raise ConnectionAbortedError


async def _wait(poison: Poison, wait_s: float) -> bool:
    """Wait so long, or until the fault is undone; whether it was."""
    with suppress(TimeoutError):
        await asyncio.wait_for(poison.over.wait(), None if wait_s == float("inf") else wait_s)
    return poison.over.is_set()
