"""Listens for clients: a UNIX socket for the process's own user, and a loopback port behind a token."""

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
from ...record.process.high_descriptor import raised_socket

if TYPE_CHECKING:
    from .connection import Connection

HOST = "127.0.0.1"
# Long enough to look up the token and paste it.
TOKEN_WITHIN_S = 60.0
# Wrong tokens within a second after which further tries are refused; each takes `WRONG_S`.
TRIES_PER_S = 5
WRONG_S = 0.5
# Clients that connect while the process is busy; a UNIX socket refuses further ones at once.
BACKLOG = 64
# A telnet user is prompted after this time; a program has sent the token by then.
PROMPT_AFTER_S = 0.2

_HTTP = re.compile(r"[A-Z]+ \S+ HTTP/\d")


class RefusedError(Exception):
    """The client is not admitted; the message is for the record."""


class PortTakenError(OSError):
    """Another program listens on the port."""


class Listener(Protocol):
    """A listening socket, and the check of its clients."""

    listening: socket.socket

    def name_of(self, channel: socket.socket) -> str:
        """The client's name in the record."""

    def admit(self, channel: socket.socket, connection: Connection) -> None:
        """Return once the client has authenticated itself.

        Raises:
            RefusedError: It is not admitted.
            GoneError: It has left.
        """

    def process_of(self, channel: socket.socket) -> int:
        """The pid of the client; 0 if it is unknown."""


class UnixListener:
    """A socket in a folder that only its owner can enter.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str, *, admit: int | None = None) -> None:
        """*admit* is a user who may connect besides this process's own."""
        self._admit = admit
        self.listening = raised_socket(socket.socket(socket.AF_UNIX))
        self.listening.bind(path)
        os.chmod(path, 0o600)  # noqa: PTH101
        self.listening.listen(BACKLOG)

    def name_of(self, channel: socket.socket) -> str:
        return "uid {1}, pid {0}".format(*_peer(channel))

    def admit(self, channel: socket.socket, connection: Connection) -> None:
        _, uid = _peer(channel)
        if uid not in (os.geteuid(), self._admit):
            connection.send(f"this console belongs to user {os.geteuid()}\n")
            raise RefusedError("another user")

    def process_of(self, channel: socket.socket) -> int:
        return _peer(channel)[0]


class TcpListener:
    """A loopback port. The first line must be the token, which only this process accepts.

    Raises:
        PortTakenError: Another program listens there.
        OSError: It cannot be opened.
    """

    def __init__(self, port: int, token: str) -> None:
        self._token = token
        self._wrong_s: deque[float] = deque(maxlen=TRIES_PER_S)
        self.listening = raised_socket(socket.socket())
        # Not SO_REUSEPORT, which would share the port with another program. This only allows a port whose
        # connections have just ended.
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

    def name_of(self, channel: socket.socket) -> str:
        try:
            return "{}:{}".format(*channel.getpeername())
        except OSError:
            return HOST

    def admit(self, channel: socket.socket, connection: Connection) -> None:
        # A telnet client sends Ctrl-C as urgent data, which would otherwise be taken out of the stream.
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._limit_tries(connection)
        line = _first_line(connection)
        if _HTTP.match(line):
            # A browser, sent here by a web page: it gets no answer that the page could read.
            raise RefusedError("HTTP")
        if not self._is_token(line.strip()):
            self._wrong_s.append(monotonic())
            time.sleep(WRONG_S)
            connection.send("wrong token\n")
            raise RefusedError("wrong token")

    def process_of(self, channel: socket.socket) -> int:
        return 0

    def _limit_tries(self, connection: Connection) -> None:
        tries = self._wrong_s
        if len(tries) == TRIES_PER_S and monotonic() - tries[0] < 1:
            connection.send("too many wrong tokens; try again in a second\n")
            raise RefusedError("too many wrong tokens")

    def _is_token(self, text: str) -> bool:
        from hmac import compare_digest  # loads OpenSSL: with the first client, not at the program's start

        return compare_digest(text.encode(), self._token.encode())


def _first_line(connection: Connection) -> str:
    from .connection import TooLongError  # that module is imported with the first client

    try:
        with suppress(TimeoutError):
            return connection.read_line(within_s=PROMPT_AFTER_S)
        connection.send("token: ")
        return connection.read_line(within_s=TOKEN_WITHIN_S)
    except TimeoutError:
        raise RefusedError("no token") from None
    except TooLongError:
        raise RefusedError("no token, but a long line") from None


def _peer(channel: socket.socket) -> tuple[int, int]:
    """The pid and uid of the client, as the kernel reports them."""
    pid, uid, _gid = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid
