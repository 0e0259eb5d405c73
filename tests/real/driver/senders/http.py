"""HTTP/1.1 on one connection that stays open."""

from __future__ import annotations

import asyncio
import re


class HttpClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, what: str) -> bytes:
        self._writer.write(f"GET /{what} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode())
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length is not None:
            return await self._reader.readexactly(int(length[1]))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def connect(port: int) -> HttpClient:
    return HttpClient(*await asyncio.open_connection("127.0.0.1", port))
