"""Ten clients of a service in trouble, for watchers that look into a running process.

    python trouble.py sleep|gil|lock

One request in five blocks the loop for 300 ms in `time.sleep`, or for about as long in a regular expression,
which holds the GIL; or each of them waits for a lock that is held for 300 ms, and the loop is well.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

HOW = sys.argv[1]
CLIENTS = 10
BLOCKS = 5  # one request in this many
HELD_S = 0.3


def price() -> None:
    if HOW == "sleep":
        time.sleep(HELD_S)
    else:
        re.match(r"(a+)+$", "a" * 22 + "b")


async def handle(number: int, lock: asyncio.Lock) -> None:
    await asyncio.sleep(0.05)
    if HOW == "lock":
        async with lock:
            await asyncio.sleep(HELD_S)
    elif number % BLOCKS == 0:
        price()


async def client(number: int, lock: asyncio.Lock) -> None:
    while True:
        await asyncio.create_task(handle(number, lock), name=f"request-{number}")
        number += CLIENTS
        await asyncio.sleep(0.1)


async def main() -> None:
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(number, lock), name=f"client-{number}")


asyncio.run(main())
