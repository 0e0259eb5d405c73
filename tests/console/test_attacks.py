"""Attacks on consoles, which work on a stock aiomonitor, and not on ours.

The same function attacks both. Our console has the permissions that the attack needs, so only its access
control prevents it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from harness.record.event import ConsoleAudited, ConsoleOpened, ProbeFailed
from harness.record.process.console_endpoint import ConsoleEndpoint
from tests.support.commanded import wait
from tests.support.consoled import consoled
from tests.support.port import free_port
from tests.support.recorded import recorded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed"),
]
pytest.importorskip("aiomonitor", reason="aiomonitor is not installed")

# Each USR1 leaves a byte in the file `hits`; the end of the task `victim` leaves the file `cancelled`.
SERVICE = """
    import asyncio, os, signal, sys

    async def victim():
        try:
            await asyncio.sleep(3600)
        finally:
            open("cancelled", "x").close()

    def hit():
        with open("hits", "a") as file:
            file.write("x")

    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hit)
        task = asyncio.create_task(victim(), name="victim")
        crowd = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(3_000)]
        with open("victim", "w") as file:
            file.write(str(id(task)))
        START
        print("ready", flush=True)
        await asyncio.sleep(3600)

    asyncio.run(main())
"""
STOCK = """
        import aiomonitor
        aiomonitor.start_monitor(
            asyncio.get_running_loop(), port={port}, webui_port={web_port}, console_enabled=False
        ).__enter__()
"""
NOBODY = 65534
# What a stock console needs before it prompts: the terminal's type and size. Ours ignores it.
HELLO = b"\xff\xfb\x18\xff\xfa\x18\x00xterm\xff\xf0\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"
# Not CR LF, which a stock console takes for two lines and so executes twice.
SIGNAL = b"signal SIGUSR1\r"


@dataclass
class Prey:
    """A service with a console, and how its owner uses it."""

    folder: Path
    port: int  # for telnet
    web_port: int  # for browsers; ours has none, so they get the telnet port
    token: str  # of the telnet port, "" for none
    longest: bytes  # the command with the longest answer
    patience_s: float  # a command that has no effect by then has none
    prompt: bytes = b""  # input before it is lost, "" for none
    stderr: Callable[[], str] = lambda: ""
    card: ConsoleEndpoint | None = None

    def hits(self) -> int:
        path = self.folder / "hits"
        return len(path.read_text()) if path.exists() else 0

    def was_hit(self, attack: Callable[[], object], *, within_s: float | None = None) -> bool:
        """Whether the attack made the process receive a signal."""
        before = self.hits()
        kept = attack()
        try:
            wait(lambda: self.hits() > before, within_s=within_s or self.patience_s)
        except TimeoutError:
            return False
        finally:
            if isinstance(kept, socket.socket):
                kept.close()
        return True

    def connected(self, *, receives_bytes: int | None = None, within_s: float = 20) -> socket.socket:
        """An authenticated connection of the owner."""
        with ExitStack() as closed_on_error:
            channel = closed_on_error.enter_context(socket.socket())
            if receives_bytes is not None:
                channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives_bytes)
            channel.settimeout(within_s)
            channel.connect(("127.0.0.1", self.port))
            channel.sendall(f"{self.token}\r".encode() if self.token else HELLO)
            self.wait_prompted(channel)
            closed_on_error.pop_all()
        return channel

    def wait_prompted(self, channel: socket.socket) -> None:
        """Wait for the prompt, if input before it is lost."""
        shown = b""
        while self.prompt not in shown:
            if not (data := channel.recv(1024)):
                raise ConnectionError("the console closed the connection")
            shown += data

    def serves(self, *, within_s: float = 20) -> bool:
        """Whether the owner's command is carried out in time. The owner disconnects properly."""
        try:
            channel = self.connected(within_s=within_s)
        except TimeoutError:
            return False
        with channel:
            served = self.was_hit(lambda: channel.sendall(SIGNAL), within_s=within_s)
            with suppress(OSError):
                channel.sendall(b"exit\r")
                channel.settimeout(1)
                while channel.recv(65536):
                    pass
        return served

    def keeps_serving(self) -> bool:
        """Whether the owner is served again and again: what keeps others out may take its time to do so."""
        return all(self.serves(within_s=8) for _ in range(5))


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Prey]:
    """The probe's console on a telnet port, with every permission."""
    folder = tmp_path / "ours"
    folder.mkdir()
    program = SERVICE.replace("START", "")
    with consoled(folder, program=program, port=0, allow=("signal", "cancel", "repl")) as running:
        card = running.card
        assert card.port is not None
        yield Prey(folder, card.port, card.port, card.token, b"ps --limit 0\r", 1.5, card=card)


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Prey]:
    """An aiomonitor started as its documentation says."""
    folder = tmp_path / "stock"
    folder.mkdir()
    with stock_service(folder, port=free_port()) as prey:
        yield prey


@contextmanager
def stock_service(folder: Path, *, port: int) -> Iterator[Prey]:
    web_port = free_port()
    start = dedent(STOCK.format(port=port, web_port=web_port)).strip().replace("\n", "\n" + " " * 8)
    (folder / "program.py").write_text(dedent(SERVICE.replace("START", start)))
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "program.py"], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=stderr
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", (folder / "stderr").read_text()
        stock = Prey(folder, port, web_port, "", b"ps\r", 4.0, prompt=b">>>")
        stock.stderr = (folder / "stderr").read_text
        yield stock
    finally:
        process.kill()
        process.communicate()


def send(port: int, data: bytes) -> socket.socket:
    """Send to a port and return the open connection, for attacks that read slowly."""
    channel = socket.create_connection(("127.0.0.1", port), timeout=20)
    with suppress(OSError):
        channel.sendall(data)
    return channel


# --- the attacks: true when they succeed ----------------------------------------------------------------


def cross_site_post(prey: Prey) -> bool:
    """A web page makes a browser on this machine post a form to the telnet port."""
    # A stock console loses input that comes before it is ready, so the page repeats it.
    body = HELLO + b"signal SIGUSR1\r\n" * 200
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{prey.port}\r\nOrigin: https://evil.example\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return any(prey.was_hit(lambda: send(prey.port, head.encode() + body)) for _ in range(3))


def dns_rebinding(prey: Prey) -> bool:
    """A web page whose own name now resolves to this machine cancels a task."""
    task = (prey.folder / "victim").read_text()
    request = (
        f"DELETE /api/task?task_id={task} HTTP/1.1\r\nHost: evil.example:{prey.web_port}\r\n"
        "Origin: http://evil.example\r\n\r\n"
    )
    with send(prey.web_port, request.encode()), suppress(TimeoutError):
        return bool(wait(lambda: (prey.folder / "cancelled").exists(), within_s=prey.patience_s))
    return False


def another_user(prey: Prey) -> bool:
    """Another user of the machine sends a command once there is a prompt."""

    def attack() -> socket.socket:
        os.seteuid(NOBODY)  # the kernel keeps it as the owner of the connection
        try:
            channel = socket.create_connection(("127.0.0.1", prey.port), timeout=20)
        finally:
            os.seteuid(0)
        with suppress(ConnectionError):  # it is refused
            channel.sendall(HELLO)
            prey.wait_prompted(channel)
            channel.sendall(SIGNAL)
        return channel

    return prey.was_hit(attack)


def slow_reader(prey: Prey) -> bool:
    """A client that requests much and reads nothing keeps the owner out."""
    with prey.connected(receives_bytes=4096) as channel:
        channel.sendall(prey.longest * 20)
        return not prey.keeps_serving()


def endless_line(prey: Prey) -> bool:
    """A line of 4 MB keeps the owner out; on a slow machine 300 kB are enough."""
    with prey.connected() as channel:
        with suppress(OSError):
            channel.settimeout(20)
            channel.sendall(b"x" * 4_000_000)
        return not prey.keeps_serving()


def replay(prey: Prey, token: str) -> bool:
    """An attacker has found the token of an earlier run in a log."""

    def attempt() -> socket.socket:
        channel = send(prey.port, HELLO)
        prey.wait_prompted(channel)
        channel.sendall(f"{token}\r".encode() + SIGNAL)
        return channel

    return prey.was_hit(attempt)


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without privileges."""
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*who, *command], cwd="/", timeout=20, capture_output=True, text=True, errors="replace"
    )


Attack = Callable[[Prey], bool]
DEEDS: list[Attack] = [cross_site_post, dns_rebinding]
DENIALS: list[Attack] = [slow_reader, endless_line]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.mark.parametrize("attack", DEEDS, ids=lambda attack: attack.__name__)
def test_a_deed_that_a_stock_console_does_for_anybody(stock: Prey, attack: Attack) -> None:
    """The control: the attack works on a stock console."""
    assert attack(stock)


@pytest.mark.parametrize("attack", DENIALS, ids=lambda attack: attack.__name__)
@pytest.mark.long
def test_a_stock_console_that_serves_nobody_any_more(stock: Prey, attack: Attack) -> None:
    """The control: a stock console serves its owner until the attack."""
    assert stock.serves()
    assert stock.serves()

    assert attack(stock)


@pytest.mark.parametrize("attack", [*DEEDS, *DENIALS], ids=lambda attack: attack.__name__)
def test_an_attack_does_nothing_here(ours: Prey, attack: Attack) -> None:
    """The attack has no effect on the service, and its owner is served as before."""
    assert not attack(ours)
    assert ours.serves()


@as_root
def test_another_user_is_served_by_a_stock_console(stock: Prey) -> None:
    """The control: any user of the machine may command a stock console."""
    assert another_user(stock)


@as_root
def test_another_user_gets_nothing_here(ours: Prey) -> None:
    """Port, socket and endpoint file refuse another user, even if the folder were open."""
    assert not another_user(ours)

    assert ours.card is not None
    socket_path, card_path = ours.card.socket, ours.card.socket.replace(".sock", ".json")
    assert as_nobody("cat", card_path).returncode != 0
    assert "ermission denied" in as_nobody("nc", "-U", "-v", socket_path).stderr
    for path in (Path(socket_path), *Path(socket_path).parents[:2]):
        os.chmod(path, 0o777)
    refused = as_nobody("sh", "-c", f"echo 'signal SIGUSR1' | nc -U -q 1 {socket_path}")
    assert refused.stdout == "this console belongs to user 0\n"
    assert ours.hits() == 0


def test_a_stock_console_needs_no_token(stock: Prey) -> None:
    """The control: a stock console accepts any token."""
    assert replay(stock, "0123456789abcdef")


def test_a_token_of_another_run_is_worth_nothing(ours: Prey, tmp_path: Path) -> None:
    """The token of an earlier process is refused, and the refusal is recorded."""
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    with consoled(earlier, port=0) as running:
        token = running.card.token

    assert not replay(ours, token)
    assert ours.serves()
    refused = [event.outcome for event in audited(ours.folder)]
    assert "refused: wrong token" in refused


def test_a_stock_console_says_nothing_of_a_taken_port(tmp_path: Path) -> None:
    """The control: a stock service starts, and its owner talks to the program that has the port."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with stock_service(tmp_path, port=port) as prey:
            owner = send(port, b"cancel 1\r\n")
            intruder, _ = squatter.accept()

            assert intruder.recv(100) == b"cancel 1\r\n"
            assert str(port) not in prey.stderr()
            owner.close()
            intruder.close()


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """The service starts, the record says why the port is not open, and the UNIX socket serves."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with consoled(tmp_path, port=port) as running:
            assert running.card.port is None
            assert running.ask("help --json")["commands"]
            opened = wait(lambda: running.events(ConsoleOpened))
            failed = [e.error for e in running.events(ProbeFailed)]

    assert opened[0].port is None
    assert opened[0].note == f"port {port} is taken by another program"
    assert failed == [f"PortTakenError: port {port} is taken by another program"]


def audited(folder: Path) -> list[ConsoleAudited]:
    return recorded(folder / "run" / "events", ConsoleAudited)
