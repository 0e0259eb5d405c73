"""Real brokers for tests: each a process of its own on a free port of loopback, ended by its pid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.mayhem.errors import SettingsError
from tests.support import broker_server as servers
from tests.support.broker_server import NatsServer, RedisServer, Server

__all__ = ["NatsServer", "RedisServer", "Server", "free_port", "running"]

free_port = servers.free_port


@contextmanager
def running(kind: Callable[[Path], Server], folder: Path, *options: str) -> Iterator[Server]:
    """A server of its own for one test, or for all; *options* are added to its command line."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(servers.running(kind, folder, *options))
        except SettingsError as missing:
            pytest.skip(str(missing))
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A NATS server with JetStream that all tests share: each uses a queue of its own."""
    with running(NatsServer, tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis server that all tests share: each uses a queue of its own."""
    with running(RedisServer, tmp_path_factory.mktemp("redis")) as server:
        yield server
