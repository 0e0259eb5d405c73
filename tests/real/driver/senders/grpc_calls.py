"""Unary calls, each client on a connection of its own."""

from __future__ import annotations

import grpc.aio


class GrpcClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def ask(self, what: str) -> bytes:
        answer: bytes = await self._channel.unary_unary(f"/shop/{what}")(b"")
        return answer

    async def close(self) -> None:
        await self._channel.close()


async def connect(port: int) -> GrpcClient:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)
    await channel.channel_ready()
    return GrpcClient(channel)
