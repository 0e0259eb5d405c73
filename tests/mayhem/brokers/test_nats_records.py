"""The load driver reads the service's records in NATS: each of them, whatever happens to its connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from nats.aio.client import Client

from harness.drive.load.in_flight import InFlightRequests
from harness.drive.load.senders.nats import NatsSender, connect
from harness.errors import TargetError
from harness.mayhem.brokers.nats import broker as nats_broker
from harness.record.event import Completed, Sent
from harness.record.writer import Writer
from tests.mayhem.support.broker_servers import Server
from tests.support.recorded import events_in, of_kind

QUEUE = "records"


class Service:
    """Settles the driver's messages without reading them."""

    def __init__(self, client: Client, flight: InFlightRequests) -> None:
        self._client = client
        self._flight = flight
        self._records = 0

    async def settled(self, sender: NatsSender) -> None:
        """Send a message, and settle it."""
        request = self._flight.begin(0)
        assert request is not None
        sender.send(request)
        await self.record(id=f"{request.n}-{request.trace_id[:8]}", state="acked")

    async def record(self, **about: str) -> None:
        """Write a record; on return the server has it."""
        self._records += 1
        await self._client.jetstream().publish(f"{QUEUE}.record.{self._records}", json.dumps(about).encode())


class Gate:
    """Passes a connection on to the server, until it swallows what the server sends, and then cuts it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: list[asyncio.StreamWriter] = []
        self.open = asyncio.Event()
        self.open.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, to_server]
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, to_server))
                group.create_task(self._pump(from_server, writer, gated=True))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, gated: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if not gated or self.open.is_set():
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def queue(nats_server: Server) -> AsyncIterator[Client]:
    """The streams of a queue, and a client beside the driver."""
    async with nats_broker.connect(nats_server.url(QUEUE), lease_s=30):
        pass
    client = await connected(nats_server)
    yield client
    for stream in (QUEUE, f"{QUEUE}_records", f"{QUEUE}_dead"):
        await client.jetstream().delete_stream(stream)
    await client.close()


async def connected(server: Server) -> Client:
    client = Client()
    await client.connect(f"nats://127.0.0.1:{server.port}")
    return client


async def test_what_is_settled_before_the_end_is_read(
    nats_server: Server, queue: Client, tmp_path: Path
) -> None:
    """However often the driver leaves just as the records come."""
    rounds, each = 10, 30
    with closing(Writer(tmp_path, "driver")) as writer:
        flight = InFlightRequests(writer)
        service = Service(queue, flight)
        async with asyncio.timeout(60):
            for _ in range(rounds):
                async with connect(flight, url=nats_server.url(QUEUE), hosts=1) as sender:
                    await asyncio.gather(*(service.settled(sender) for _ in range(each)))
    completed = of_kind(events_in(tmp_path), Completed)

    assert sorted(one.n for one in completed) == list(range(rounds * each))
    assert {one.error for one in completed} == {""}


async def test_records_on_a_connection_that_is_lost_are_read_again(
    nats_server: Server, queue: Client, tmp_path: Path
) -> None:
    """The server sends each of them once, and does not know that it got lost."""
    gate = Gate(nats_server.port)
    with closing(Writer(tmp_path, "driver")) as writer:
        flight = InFlightRequests(writer)
        service = Service(queue, flight)
        async with gate.listening() as port, asyncio.timeout(60):
            async with connect(flight, url=f"nats://127.0.0.1:{port}?queue={QUEUE}", hosts=1) as sender:
                await service.settled(sender)
                await flight.wait_empty()
                gate.open.clear()
                await service.settled(sender)
                while await delivered(queue) < 2:
                    await asyncio.sleep(0.01)
                gate.cut()
                await flight.wait_empty()
    record = events_in(tmp_path)

    assert [one.n for one in of_kind(record, Sent)] == [0, 1]
    assert [(one.n, one.error) for one in of_kind(record, Completed)] == [(0, ""), (1, "")]


async def delivered(client: Client) -> int:
    """How many records the server has sent."""
    consumers = await client.jetstream().consumers_info(f"{QUEUE}_records")
    return max((one.delivered.stream_seq for one in consumers if one.delivered), default=0)


async def test_a_record_that_is_none_ends_the_load(
    nats_server: Server, queue: Client, tmp_path: Path
) -> None:
    """Its message would otherwise count as never answered."""
    with closing(Writer(tmp_path, "driver")) as writer:
        flight = InFlightRequests(writer)
        with pytest.RaisesGroup(pytest.RaisesExc(TargetError, match="not a record of the service")):
            async with connect(flight, url=nats_server.url(QUEUE), hosts=1):
                await Service(queue, flight).record(id="0")
                await asyncio.sleep(60)
