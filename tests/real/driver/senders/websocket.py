"""One message for another on a WebSocket."""

from __future__ import annotations

import websockets.asyncio.client


class WebsocketClient:
    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self._connection = connection

    async def ask(self, what: str) -> bytes:
        await self._connection.send(what)
        answer: str = await self._connection.recv()
        return answer.encode()

    async def close(self) -> None:
        await self._connection.close()


async def connect(port: int) -> WebsocketClient:
    return WebsocketClient(await websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}", proxy=None))
