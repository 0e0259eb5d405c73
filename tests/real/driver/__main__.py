"""Asks a server at fixed times, in a process of its own: `python -m tests.real.driver PROTOCOL PORT`.

Six clients keep their connections and ask ``ok`` on a schedule; later another one asks ``block`` beside them.
The number of requests is always the same. Prints one JSON object for each answer; times are of the clock of
the whole machine, as the server's are. Needs the standard library, and the protocol's own package.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from typing import Any, Protocol

CLIENTS = 6
CALM = 8  # requests of each client before the first block
BESIDE = 22  # and beside the blocks
EVERY_S = 0.06
BLOCKS = 4
BLOCK_EVERY_S = 0.3
# How long a server may take until it accepts, and until it answers.
PATIENCE_S = 20.0


class Client(Protocol):
    """One connection."""

    async def ask(self, what: str) -> bytes:
        """Ask, and return the JSON of the answer."""

    async def close(self) -> None: ...


class Sender(Protocol):
    """A module of `senders`."""

    async def connect(self, port: int) -> Client: ...


async def main(protocol: str, port: int) -> list[dict[str, Any]]:
    sender: Sender = importlib.import_module(f"tests.real.driver.senders.{protocol}")
    clients = [await connected(sender, port) for _ in range(CLIENTS)]
    blocker = await connected(sender, port)
    answers: list[dict[str, Any]] = []

    async def repeat(client: Client, number: int, what: str, times: int, every_s: float) -> None:
        began = time.monotonic()
        for turn in range(times):
            await asyncio.sleep(began + turn * every_s - time.monotonic())
            sent_ns = time.monotonic_ns()
            answer = json.loads(await asyncio.wait_for(client.ask(what), PATIENCE_S))
            answered = {"client": number, "asked": what, "sent_ns": sent_ns}
            answers.append({**answered, "answered_ns": time.monotonic_ns(), **answer})

    await asyncio.gather(*(repeat(client, i, "ok", CALM, EVERY_S) for i, client in enumerate(clients)))
    await asyncio.gather(
        *(repeat(client, i, "ok", BESIDE, EVERY_S) for i, client in enumerate(clients)),
        repeat(blocker, CLIENTS, "block", BLOCKS, BLOCK_EVERY_S),
    )
    for client in (*clients, blocker):
        await client.close()
    return answers


async def connected(sender: Sender, port: int) -> Client:
    """Connect, once the server accepts."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await asyncio.wait_for(sender.connect(port), PATIENCE_S)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    for answer in asyncio.run(main(sys.argv[1], int(sys.argv[2]))):
        print(json.dumps(answer))
