"""A line there and back over TCP on loopback; server and client share the loop."""

import asyncio

import meter


async def work(count: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(count):
            writer.write(b"hello\n")
            await reader.readline()
        writer.close()
        await writer.wait_closed()


meter.run(work)
