"""The proxies of a run, in a process of their own: ``python -m harness.drive.network.proxy``.

The first line on stdin is JSON with the ``proxies``, each with its ``name``, the port that it ``listen``s on
and its ``upstream``; one line on stdout says that they listen, or why not. Each further line adds or removes
a fault, and is answered by a line. The end of stdin ends the process.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from ...record.fault import catalogue, toxic
from .link import Link, Poison

HOST = "127.0.0.1"


class Proxy:
    """Passes connections on to an upstream service."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._links: set[Link] = set()
        self._poisons: dict[str, Poison] = {}  # in force, in the order of their injection
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        """Begin to accept.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._accepted, HOST, port)

    def add(self, poison: Poison) -> None:
        """Put a fault in force, for connections that there are as well."""
        self._poisons[poison.id] = poison
        if (ending := poison.toxic.for_all()) is not toxic.Ending.NONE:
            for link in tuple(self._links):
                poison.act()
                link.end(ending)

    def remove(self, fault_id: str) -> Poison | None:
        """Undo it: what it holds back is passed on."""
        poison = self._poisons.pop(fault_id, None)
        if poison is not None:
            poison.over.set()
        return poison

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, self._poisons)
        self._links.add(link)
        try:
            for poison in tuple(self._poisons.values()):
                if (ending := poison.toxic.for_all()) is not toxic.Ending.NONE:
                    poison.calls += 1
                    poison.act()
                    link.end(ending)
                    return
            await link.pass_on(*self._upstream)
        finally:
            self._links.discard(link)


async def main() -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    asked = json.loads(await orders.readline())
    proxies: dict[str, Proxy] = {}
    for each in asked["proxies"]:
        host, _, port = each["upstream"].rpartition(":")
        proxies[each["name"]] = proxy = Proxy(host.strip("[]"), int(port))
        try:
            await proxy.listen(each["listen"])
        except OSError as exc:
            _say({"error": f"proxy {each['name']}: port {each['listen']}: {exc.strerror}"})
            return
    _say({"ok": True})
    while line := await orders.readline():
        _say(_carried_out(json.loads(line), proxies))


def _carried_out(order: dict[str, Any], proxies: dict[str, Proxy]) -> dict[str, Any]:
    proxy = proxies[order["proxy"]]
    if order["do"] == "add":
        kind = toxic.find(order["kind"])
        given = {name: order[name] for name in catalogue.parameters(kind) if name in order}
        dice = random.Random(order["seed"])
        proxy.add(Poison(order["id"], kind(**given), order["stream"], dice))
        return {"ok": True}
    removed = proxy.remove(order["id"])
    return {"fired": removed.fired, "calls": removed.calls} if removed else {"fired": 0, "calls": 0}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
