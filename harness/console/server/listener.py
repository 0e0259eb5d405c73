"""The ways in: a UNIX socket for the user that the process runs as, and a port of loopback behind a token."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ...record.clock import monotonic

if TYPE_CHECKING:
    from .connection import Connection

HOST = "127.0.0.1"
# To find the token and paste it.
TOKEN_WITHIN_S = 60.0
# Somebody who guesses gets this many tries per second, each of which costs him as much time.
TRIES_PER_S = 5
WRONG_S = 0.5
# Who connects while the process is busy; a UNIX socket refuses at once when there are more.
BACKLOG = 64
# As `telnet` users are prompted, but not who has sent the token already.
PROMPT_AFTER_S = 0.2

_HTTP = re.compile(r"[A-Z]+ \S+ HTTP/\d")


class RefusedError(Exception):
    """Whoever came may not enter; the message is for the record."""


class PortTakenError(OSError):
    """Somebody else has the port."""


class Listener(Protocol):
    """One way in."""

    listening: socket.socket

    def who(self, channel: socket.socket) -> str:
        """Who is at the other end, for the record."""
        ...

    def admit(self, channel: socket.socket, wire: Connection) -> None:
        """Return when the client may enter.

        Raises:
            RefusedError: It may not.
            GoneError: It has left.
        """
        ...


class UnixListener:
    """A socket that only its owner's folder leads to.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        os.chmod(path, 0o600)  # noqa: PTH101
        self.listening.listen(BACKLOG)

    def who(self, channel: socket.socket) -> str:
        return "uid {1}, pid {0}".format(*_peer(channel))

    def admit(self, channel: socket.socket, wire: Connection) -> None:
        _, uid = _peer(channel)
        if uid != os.geteuid():
            wire.send(f"this console belongs to user {os.geteuid()}\n")
            raise RefusedError("another user")


class TcpListener:
    """A port of loopback. The first line must be the token; it is this process's alone.

    Raises:
        PortTakenError: Somebody listens there.
        OSError: It cannot be opened.
    """

    def __init__(self, port: int, token: str) -> None:
        self._token = token
        self._wrong_s: deque[float] = deque(maxlen=TRIES_PER_S)
        self.listening = socket.socket()
        # Not SO_REUSEPORT, which would share the port with whoever has it. This only lets a port be taken
        # again whose connections have just ended.
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listening.bind((HOST, port))
            self.listening.listen(BACKLOG)
        except OSError as exc:
            self.listening.close()
            if exc.errno == errno.EADDRINUSE:
                raise PortTakenError(f"port {port} is taken by another program") from None
            raise
        self.port: int = self.listening.getsockname()[1]

    def who(self, channel: socket.socket) -> str:
        try:
            return "{}:{}".format(*channel.getpeername())
        except OSError:
            return HOST

    def admit(self, channel: socket.socket, wire: Connection) -> None:
        # A telnet's Ctrl-C comes as urgent data, which would be taken out of its place.
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._spare_the_guessed(wire)
        line = _first_line(wire)
        if _HTTP.match(line):
            # A web page had a browser connect; it gets nothing to read.
            raise RefusedError("HTTP")
        if not self._is_token(line.strip()):
            self._wrong_s.append(monotonic())
            time.sleep(WRONG_S)
            wire.send("wrong token\n")
            raise RefusedError("wrong token")

    def _spare_the_guessed(self, wire: Connection) -> None:
        tries = self._wrong_s
        if len(tries) == TRIES_PER_S and monotonic() - tries[0] < 1:
            wire.send("too many wrong tokens; try again in a second\n")
            raise RefusedError("too many wrong tokens")

    def _is_token(self, text: str) -> bool:
        from hmac import compare_digest  # loads OpenSSL: when somebody comes, not at the program's start

        return compare_digest(text.encode(), self._token.encode())


def _first_line(wire: Connection) -> str:
    from .connection import TooLongError  # with the first client, as the whole of it

    try:
        with suppress(TimeoutError):
            return wire.line(within_s=PROMPT_AFTER_S)
        wire.send("token: ")
        return wire.line(within_s=TOKEN_WITHIN_S)
    except TimeoutError:
        raise RefusedError("no token") from None
    except TooLongError:
        raise RefusedError("no token, but a long line") from None


def _peer(channel: socket.socket) -> tuple[int, int]:
    """The pid and uid of who connected, as the kernel knows them."""
    pid, uid, _gid = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid
