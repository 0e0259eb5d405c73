"""A program with the probe and its console, and a client of it; for any Python and any loop."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import pytest

from harness.record.probe_config import ConsoleConfig
from harness.record.process import console_endpoint
from harness.record.process.console_endpoint import ConsoleEndpoint
from harness.record.run_folder import RunFolder
from tests.support.commanded import wait
from tests.support.process import Piped
from tests.support.recorded import E, recorded
from tests.support.watched import How, start

# A loop that waits, with three named tasks; it executes each line from stdin.
SERVICE = """
    import asyncio, re, sys, threading, time

    def hold_the_gil(letters):
        re.match("(a+)+$", "a" * letters + "b")  # it goes back and forth, twice as long for each letter

    async def wait_for_ever():
        await asyncio.sleep(3600)

    async def main():
        global waiting
        loop = asyncio.get_running_loop()
        waiting = [asyncio.create_task(wait_for_ever(), name=f"waiting-{n}") for n in range(3)]
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line)

    RUN
"""
RUNNERS = {"asyncio": "asyncio.run(main())", "uvloop": "import uvloop; uvloop.run(main())"}


@dataclass
class Consoled:
    """A running program, and the way to its console."""

    process: Piped
    folder: RunFolder
    card: ConsoleEndpoint
    lines: list[str]  # of its program
    is_uvloop: bool

    def events(self, kind: type[E]) -> list[E]:
        """What the record holds by now."""
        return recorded(self.folder.events, kind)

    def request(self, line: str, **more: object) -> dict[str, Any]:
        """Ask as a program does, on a connection of its own; the whole answer."""
        with self.connect() as client:
            return client.request(line, **more)

    def ask(self, line: str) -> Any:
        """The answer of a successful command: its text, or the document with ``--json``."""
        answer = self.request(line)
        assert answer["ok"], answer
        return answer["answer"] if "answer" in answer else answer["text"]

    def connect(self, *, tcp: bool = False) -> Client:
        """A new connection; over TCP, it is not authenticated."""
        if tcp:
            return Client(socket.create_connection(("127.0.0.1", self.card.port), timeout=20))
        return Client.of_card(self.card)

    def do(self, statement: str) -> None:
        """Execute a statement on the program's loop; returns at once."""
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()


class Client:
    """A connection to a console."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.received = b""

    @classmethod
    def of_card(cls, card: ConsoleEndpoint) -> Client:
        """Connect to the socket of an endpoint."""
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(20)
        channel.connect(card.socket)
        return cls(channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def send(self, data: bytes | str) -> None:
        self.channel.sendall(data.encode() if isinstance(data, str) else data)

    def wait_for(self, text: str) -> str:
        """Read until *text* comes; return everything up to its end."""
        wanted = text.encode()
        while wanted not in self.received:
            data = self.channel.recv(65536)
            assert data, f"closed without {text!r}: {self.received!r}"
            self.received += data
        before, _, self.received = self.received.partition(wanted)
        return (before + wanted).decode()

    def rest(self) -> bytes:
        """Everything until the end of the connection."""
        try:
            while data := self.channel.recv(65536):
                self.received += data
        except ConnectionResetError:
            pass
        return self.received

    def request(self, line: str, **more: object) -> dict[str, Any]:
        """Ask as a program does."""
        self.send(json.dumps({"line": line, **more}) + "\n")
        answer: dict[str, Any] = json.loads(self.wait_for("\n"))
        return answer


@contextmanager
def consoled(
    tmp_path: Path,
    *,
    program: str = SERVICE,
    loop: str = "asyncio",
    allow: tuple[str, ...] = (),
    port: int | None = None,
    **how: Unpack[How],
) -> Iterator[Consoled]:
    """Start *program*; it has printed "ready" and its console is open."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    how["console"] = ConsoleConfig(port=port, allow=allow)
    how["env"] = {**how.get("env", {}), "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    process, folder = start(program.replace("RUN", RUNNERS[loop]), tmp_path, **how)
    lines = (tmp_path / "program.py").read_text().splitlines()
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()
        card = wait(lambda: card_of(process.pid))
        yield Consoled(process, folder, card, lines, is_uvloop=loop == "uvloop")
    finally:
        process.kill()
        if process.stdin.closed:
            process.stdin = None  # type: ignore[assignment]  # `communicate` would flush it
        process.communicate()


def card_of(pid: int) -> ConsoleEndpoint | None:
    """The endpoint of a process, once its console is open."""
    return next((found for _, found in console_endpoint.endpoints() if found.pid == pid), None)


def is_alive(consoled: Consoled) -> bool:
    """Whether the program's own loop still executes statements."""
    mark = f"/tmp/harness-{os.getpid()}-{time.monotonic_ns()}"
    consoled.do(f"open({mark!r}, 'w').close()")
    try:
        return bool(wait(lambda: Path(mark).exists()))
    finally:
        Path(mark).unlink(missing_ok=True)
