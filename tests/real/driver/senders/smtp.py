"""SMTP, whose command VRFY asks."""

from __future__ import annotations

import asyncio


class SmtpClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def command(self, line: str) -> bytes:
        self._writer.write(f"{line}\r\n".encode())
        while (answer := await self._reader.readline())[3:4] == b"-":
            pass
        if not answer.startswith(b"2"):
            raise ConnectionError(answer.decode())
        return answer[4:]

    async def ask(self, what: str) -> bytes:
        return await self.command(f"VRFY {what}")

    async def close(self) -> None:
        await self.command("QUIT")
        self._writer.close()
        await self._writer.wait_closed()


async def connect(port: int) -> SmtpClient:
    client = SmtpClient(*await asyncio.open_connection("127.0.0.1", port))
    await client._reader.readline()
    await client.command("EHLO shop")
    return client
