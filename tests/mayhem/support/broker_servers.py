"""Fixtures for real broker servers, on free ports of loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.mayhem.errors import SettingsError
from tests.support import broker_server as servers
from tests.support.broker_server import NatsServer, RedisServer, Server

__all__ = ["NatsServer", "RedisServer", "Server", "running"]


@contextmanager
def running(kind: Callable[[Path], Server], folder: Path, *options: str) -> Iterator[Server]:
    """Run a server, or skip the test if it is not installed; *options* are appended to its command line."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(servers.running(kind, folder, *options))
        except SettingsError as missing:
            pytest.skip(str(missing))
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shared NATS server with JetStream; each test uses its own queue."""
    with running(NatsServer, tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shared Redis server; each test uses its own queue."""
    with running(RedisServer, tmp_path_factory.mktemp("redis")) as server:
        yield server
