"""Finds the console of a process and sends it commands over its UNIX socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Self

from ...errors import TargetError, UsageError
from ...record import page
from ...record.process import console_endpoint
from ...record.process.console_endpoint import ConsoleEndpoint
from .. import stall_view

# A healthy process acknowledges a command at once, whatever its loop is doing.
ACK_WITHIN_S = 1.0
# Telnet's interrupt sequence, which the console handles like Ctrl-C.
INTERRUPT = b"\xff\xf4"

# Commands that can be answered from outside for a process that does not answer.
_FROM_OUTSIDE = ("status", "blocks")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: *text* for people, or the *answer* document of ``--json``."""

    status: str  # "ok", "failed", "refused", "usage"
    text: str
    answer: dict[str, Any] | None = None
    hint: str = ""
    news: tuple[str, ...] = ()  # of loops that hang, since the previous answer
    leaves: bool = False


def find(which: str | None) -> ConsoleEndpoint:
    """The console of a run; without one, the only open console.

    Raises:
        UsageError: There is none, or more than one.
    """
    alive = consoles()
    if which is None:
        fitting, missing = alive, UsageError("no console is open")
    else:
        places = {Path(which).resolve(), Path("reports", which).resolve()}
        fitting = [found for found in alive if found.folder and Path(found.folder) in places]
        missing = UsageError(f"{which}: no process of such a run has an open console")
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        missing.add_note("harness attach --list: all consoles of this user")
        raise missing
    exc = UsageError(f"{len(fitting)} consoles are open; name one by its pid")
    for found in fitting:
        exc.add_note(f"{found.pid}  {' '.join(found.program)}")
    raise exc


def console_of(pid: int) -> ConsoleEndpoint | None:
    """The console that process *pid* has open."""
    return next((found for found in consoles() if found.pid == pid), None)


def consoles() -> list[ConsoleEndpoint]:
    """The open consoles of this user; files left behind by ended processes are removed."""
    alive = []
    for path, found in console_endpoint.endpoints():
        if console_endpoint.is_alive(found) and _listens(found):
            alive.append(found)
        else:
            with suppress(OSError):
                console_endpoint.remove(path, found)
    return alive


def loops(found: ConsoleEndpoint) -> int:
    """The number of loops that the process runs."""
    readings = (page.read(path) for path in Path(found.pages).glob(f"{found.pid}-*.page"))
    return sum(reading is not None and not reading.stopped_ns for reading in readings)


class ConsoleClient:
    """A conversation with one console.

    Raises:
        TargetError: The process can no longer be reached.
    """

    def __init__(
        self,
        found: ConsoleEndpoint,
        *,
        columns: int,
        on_say: Callable[[str], None],
        on_ask: Callable[[str], str | None],
    ) -> None:
        """*on_say* gets each line before an answer; *on_ask* gets a prompt, and returns the input or None."""
        self.card = found
        self._columns = columns
        self._on_say = on_say
        self._on_ask = on_ask
        self._channel: socket.socket | None = None
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def ask(self, line: str, *, wait_s: float) -> Reply:
        """Run one command.

        When the process does not acknowledge it, `status` and `blocks` are answered from outside; for any
        other command, wait up to *wait_s* seconds.

        Raises:
            TargetError: The process has ended, or did not answer in time.
        """
        self._send({"line": line, "columns": self._columns, "talks": True})
        message = self._message(within_s=ACK_WITHIN_S)
        if message is None:
            seen = stall_view.observe(self.card, silent_s=ACK_WITHIN_S)
            if _command_of(line) in _FROM_OUTSIDE:
                self._hang_up()  # its own late answer would mix with the next one
                as_json = "--json" in line.split()
                return Reply("ok", "\n".join(seen.lines()), seen.document() if as_json else None)
            self._on_say("\n".join([*seen.lines(), f"waiting for its answer, {wait_s:g} s at most"]))
            message = self._message(within_s=wait_s)
            if message is None:
                self._hang_up()
                raise TargetError(f"process {self.card.pid} did not answer within {wait_s:g} s")
        while "ok" not in message:
            if "say" in message:
                self._on_say(message["say"])
            elif "ask" in message:
                self._send({"input": self._on_ask(message["ask"])})
            message = self._message(within_s=None) or {}
        return Reply(
            status=message["status"],
            text=message.get("text", ""),
            answer=message.get("answer"),
            hint=message.get("hint", ""),
            news=tuple(message.get("news", ())),
            leaves=message.get("leaves", False),
        )

    def completions(self, start: str) -> list[str]:
        """Completions of the last word of *start*; none when the process does not answer at once."""
        try:
            self._send({"complete": start})
            message = self._message(within_s=ACK_WITHIN_S)
        except TargetError:
            return []
        if message is None:
            self._hang_up()
            return []
        return list(message.get("completions", ()))

    def interrupt(self) -> None:
        """End the running command, as Ctrl-C does."""
        if self._channel is not None:
            with suppress(OSError):
                self._channel.sendall(INTERRUPT)

    def _send(self, message: dict[str, object]) -> None:
        if self._channel is None:
            self._channel = _connected(self.card)
        # If this fails, `_message` still reads the last messages, and then the end of the connection.
        with suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _message(self, *, within_s: float | None) -> dict[str, Any] | None:
        """The next message, or None when none came in time."""
        assert self._channel is not None
        deadline_s = None if within_s is None else monotonic() + within_s
        while b"\n" not in self._received:
            self._channel.settimeout(None if deadline_s is None else max(1e-3, deadline_s - monotonic()))
            try:
                data = self._channel.recv(64 * 1024)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            if not data:
                self._hang_up()
                raise TargetError(self._why_closed())
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            # Plain text, for example a refusal because too many clients are connected.
            raise TargetError(f"the console says: {line.decode(errors='replace')}") from None
        return message

    def _why_closed(self) -> str:
        if console_endpoint.is_alive(self.card):
            return f"process {self.card.pid} has closed the connection"
        return f"process {self.card.pid} has ended"

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel, self._received = None, b""


def _connected(found: ConsoleEndpoint) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    channel.settimeout(ACK_WITHIN_S)
    try:
        channel.connect(found.socket)
    except OSError as exc:
        channel.close()
        raise TargetError(f"process {found.pid} cannot be reached: {exc.strerror or exc}") from None
    return channel


def _listens(found: ConsoleEndpoint) -> bool:
    """Whether a process listens: after an `exec`, the same pid no longer has this console."""
    try:
        if found.socket in Path("/proc/net/unix").read_text():
            return True
        # It may be in another network namespace. Connecting is conclusive, but adds an entry to its record.
        _connected(found).close()
    except (OSError, TargetError):
        return False
    return True


def _command_of(line: str) -> str:
    """The full name of a command that can be answered from outside; for any other, the word itself."""
    word = next(iter(line.split()), "")
    return next((name for name in _FROM_OUTSIDE if len(word) > 1 and name.startswith(word)), word)
