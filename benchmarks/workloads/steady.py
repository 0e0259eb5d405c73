"""Sends lines to `lines.py` at a steady rate, answered or not, until stdin closes.

``python steady.py PORT RATE_PER_S`` prints, in the end, each request as the time it was due and the time from
there to its answer, in seconds of the monotonic clock, as JSON.
"""

import asyncio
import json
import sys
import time
from collections import deque

CONNECTIONS = 20


class Client(asyncio.Protocol):
    """One connection; its answers come in the order of its requests."""

    def __init__(self, done: list[tuple[float, float]]) -> None:
        self._done = done
        self._due: deque[float] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, due: float) -> None:
        self._due.append(due)
        self._transport.write(b"hello\n")  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for _ in range(data.count(b"\n")):
            due = self._due.popleft()
            self._done.append((due, now - due))


async def main(port: int, rate_per_s: float) -> None:
    loop = asyncio.get_running_loop()
    done: list[tuple[float, float]] = []
    clients = [
        (await loop.create_connection(lambda: Client(done), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]
    until = loop.run_in_executor(None, sys.stdin.read)
    due, number = time.monotonic(), 0
    while not until.done():
        while due <= time.monotonic():
            clients[number % CONNECTIONS].send(due)
            due, number = due + 1 / rate_per_s, number + 1
        await asyncio.sleep(due - time.monotonic())
    print(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
