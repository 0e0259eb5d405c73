"""A line for a line."""

from __future__ import annotations

import asyncio


class LineClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, what: str) -> bytes:
        self._writer.write(f"{what}\n".encode())
        return await self._reader.readline()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def connect(port: int) -> LineClient:
    return LineClient(*await asyncio.open_connection("127.0.0.1", port))
