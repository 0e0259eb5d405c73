"""Accepts clients from the listeners and serves each in a thread; a fixed number of them at a time."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...record.process.high_descriptor import raised
from ..threads import ConsoleThreads
from .access_log import AccessLog
from .inspection import InspectionRight
from .listener import Listener, RefusedError

if TYPE_CHECKING:
    from .connection import Connection

CLIENTS = 8
# Clients that have not sent the token yet, per listener. They do not count as `CLIENTS`.
UNAUTHENTICATED = 8
# Pause before another `accept` when the process has no file descriptor left for a client.
RETRY_S = 0.1


class ConsoleServer:
    """Serves until it is closed."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        threads: ConsoleThreads,
        access_log: AccessLog,
        converse: Callable[[Connection, str], None],
    ) -> None:
        """*converse* serves one client, in the client's thread, given its connection and name."""
        self._listeners = listeners
        self._threads = threads
        self._access_log = access_log
        self._converse = converse
        self._wakeup = raised(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._lock = threading.Lock()
        self._unauthenticated: dict[socket.socket, Listener] = {}
        self._admitted: set[socket.socket] = set()
        self._closed = False
        self._inspection = InspectionRight()
        threads.start(self._serve)

    def close(self) -> None:
        """Accept no more clients, and disconnect all of them."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._wakeup, 1)
            for channel in (*self._unauthenticated, *self._admitted):
                # Not closed here: its thread may be about to use it.
                with contextlib.suppress(OSError):
                    channel.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a forked child, close the descriptors of the parent's clients and listeners."""
        listening = (listener.listening for listener in self._listeners)
        for channel in (*self._unauthenticated, *self._admitted, *listening):
            channel.close()
        os.close(self._wakeup)

    def _serve(self) -> None:
        by_fd = {listener.listening.fileno(): listener for listener in self._listeners}
        poll = select.poll()
        for fd in (*by_fd, self._wakeup):
            poll.register(fd, select.POLLIN)
        while not self._closed:
            for fd, _ in poll.poll():
                if fd in by_fd:
                    self._accept(by_fd[fd])
        for listener in self._listeners:
            listener.listening.close()
        with self._lock:  # `close` has written to it by then
            os.close(self._wakeup)

    def _accept(self, listener: Listener) -> None:
        try:
            channel, _ = listener.listening.accept()
            client = listener.name_of(channel)
        except OSError:  # the client has left already, or there are no more descriptors
            time.sleep(RETRY_S)
            return
        with self._lock:
            here = sum(at is listener for at in self._unauthenticated.values())
            is_full = self._closed or here >= UNAUTHENTICATED
            if not is_full:
                self._unauthenticated[channel] = listener
        if is_full:
            _reject(channel)
            self._access_log.refused(client, "too many unauthenticated connections")
            return
        try:
            self._threads.start(lambda: self._receive(listener, channel, client))
        except RuntimeError:  # the process has reached its limit of threads
            with self._lock:
                del self._unauthenticated[channel]
            _reject(channel)
            self._access_log.refused(client, "no thread available")

    def _receive(self, listener: Listener, channel: socket.socket, client: str) -> None:
        from .connection import Connection, GoneError  # imported with the first client, if any

        connection = Connection(channel)
        inspector = 0
        try:
            listener.admit(channel, connection)
            self._admit(channel, connection)
            self._inspection.grant(inspector := listener.process_of(channel))
            self._access_log.connected(client)
            self._converse(connection, client)
        except RefusedError as exc:
            self._access_log.refused(client, str(exc))
        except GoneError:
            pass
        finally:
            with self._lock:
                self._unauthenticated.pop(channel, None)
                self._admitted.discard(channel)
            self._inspection.withdraw(inspector)
            # Before the connection is closed: the process may be about to exit.
            self._access_log.flush()
            connection.close()

    def _admit(self, channel: socket.socket, connection: Connection) -> None:
        with self._lock:
            is_full = len(self._admitted) >= CLIENTS
            if not is_full:
                del self._unauthenticated[channel]
                self._admitted.add(channel)
        if is_full:
            connection.send(f"{CLIENTS} clients are connected already\n")
            raise RefusedError("too many clients")


def _reject(channel: socket.socket) -> None:
    # Without blocking: this thread must accept other clients.
    with channel, contextlib.suppress(OSError):
        channel.setblocking(False)
        channel.send(b"too many connections; try again later\n")
