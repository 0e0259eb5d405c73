"""Takes clients in at the doors, and gives each a thread; a fixed number of them at a time."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..threads import ConsoleThreads
from .access_log import AccessLog
from .listener import Listener, RefusedError

if TYPE_CHECKING:
    from .connection import Connection

CLIENTS = 8
# Those who have not said the token yet have a number of their own: they must not keep others out.
AT_THE_DOOR = 8
# When the process has no descriptor left for a client, it is not asked again at once.
BREATH_S = 0.1


class ConsoleServer:
    """Serves until it is closed."""

    def __init__(
        self,
        doors: Sequence[Listener],
        *,
        crew: ConsoleThreads,
        audit: AccessLog,
        converse: Callable[[Connection, str], None],
    ) -> None:
        """*converse* talks with one client, in its thread."""
        self._doors = doors
        self._crew = crew
        self._audit = audit
        self._converse = converse
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, Listener] = {}
        self._inside: set[socket.socket] = set()
        self._closed = False
        crew.start(self._serve)

    def close(self) -> None:
        """Let nobody in any more, and send everybody away."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._bell, 1)
            for channel in (*self._waiting, *self._inside):
                # Not closed here: its thread may be about to use it.
                with contextlib.suppress(OSError):
                    channel.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a child after `fork`: the clients, and the doors, are the parent's."""
        for channel in (*self._waiting, *self._inside, *(door.listening for door in self._doors)):
            channel.close()
        os.close(self._bell)

    def _serve(self) -> None:
        doors = {door.listening.fileno(): door for door in self._doors}
        poll = select.poll()
        for fd in (*doors, self._bell):
            poll.register(fd, select.POLLIN)
        while not self._closed:
            for fd, _ in poll.poll():
                if fd in doors:
                    self._let_in(doors[fd])
        for door in self._doors:
            door.listening.close()
        with self._lock:  # whoever closes us has rung it by then
            os.close(self._bell)

    def _let_in(self, door: Listener) -> None:
        try:
            channel, _ = door.listening.accept()
            who = door.who(channel)
        except OSError:  # it has left already, or there are no more descriptors
            time.sleep(BREATH_S)
            return
        with self._lock:
            is_full = self._closed or sum(at is door for at in self._waiting.values()) >= AT_THE_DOOR
            if not is_full:
                self._waiting[channel] = door
        if is_full:
            _turn_away(channel)
            self._audit.refused(who, "too many at the door")
            return
        try:
            self._crew.start(lambda: self._receive(door, channel, who))
        except RuntimeError:  # the process may have no more threads
            with self._lock:
                del self._waiting[channel]
            _turn_away(channel)
            self._audit.refused(who, "no thread for it")

    def _receive(self, door: Listener, channel: socket.socket, who: str) -> None:
        from .connection import Connection, GoneError  # with the first client: nobody may ever come

        wire = Connection(channel)
        try:
            door.admit(channel, wire)
            self._go_inside(channel, wire)
            self._audit.connected(who)
            self._converse(wire, who)
        except RefusedError as exc:
            self._audit.refused(who, str(exc))
        except GoneError:
            pass
        finally:
            with self._lock:
                self._waiting.pop(channel, None)
                self._inside.discard(channel)
            # First: it may be the process's end that has sent the client away.
            self._audit.tell()
            wire.close()

    def _go_inside(self, channel: socket.socket, wire: Connection) -> None:
        with self._lock:
            is_full = len(self._inside) >= CLIENTS
            if not is_full:
                del self._waiting[channel]
                self._inside.add(channel)
        if is_full:
            wire.send(f"{CLIENTS} clients are connected, and no more are served\n")
            raise RefusedError("too many clients")


def _turn_away(channel: socket.socket) -> None:
    # In the thread that lets others in, which waits for nobody.
    with channel, contextlib.suppress(OSError):
        channel.setblocking(False)
        channel.send(b"too many connections; try again later\n")
