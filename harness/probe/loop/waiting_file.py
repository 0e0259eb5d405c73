"""Finds the sockets for which a loop without a selector in Python waits, and which of them are ready.

The kernel knows them: it lists the files of an epoll in ``/proc``. They do not change while the loop is in a
turn, since libuv tells them to the kernel before it waits. Nothing here releases the GIL: where a call in C
kept it until now, the loop's thread would go on and serve the very sockets that waited.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
from asyncio import AbstractEventLoop, Handle, Task
from typing import Any

from ...record.value import Row
from ..hooks.state import loop_state, task_state, uvloop_state
from ..tasks import identity, register

# About 900 files; more would take longer than the samples of a late loop are apart.
MOST_BYTES = 64 * 1024
MOST_FILES = MOST_TASKS = 1_000
READ = select.POLLIN | select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class WaitingFile(Row):
    """A file or socket that is ready, and has waited for the loop."""

    descriptor: int
    task: Task[Any] | None  # that waits for it
    label: str


class WatchedFiles:
    """The files that one loop waits for, to be asked during one of its turns.

    Raises:
        OSError: The kernel does not list them.
    """

    def __init__(self, loop: AbstractEventLoop, epoll: int) -> None:
        self._loop = loop
        self._library = ctypes.PyDLL(None)
        files = list(self._listed(epoll))[:MOST_FILES]
        # `struct pollfd`: the descriptor, and the events to ask for.
        self._polled = (_PollFd * len(files))(*[_PollFd(fd, events & 0xFFFF, 0) for fd, events in files])
        self._named: dict[int, WaitingFile | None] = {}
        self._readers: dict[int, Task[Any]] | None = None
        self._own = uvloop_state.watched_files(loop)

    def ready(self) -> list[WaitingFile]:
        """Those that are ready now, without those that only wake the loop up."""
        if not self._polled or self._library.poll(self._polled, len(self._polled), 0) <= 0:
            return []
        for one in self._polled:
            if one.revents and one.fd not in self._named:
                self._named[one.fd] = self._name(one.fd, one.revents)
        found = (self._named[one.fd] for one in self._polled if one.revents)
        return [file for file in found if file is not None]

    def _name(self, fd: int, events: int) -> WaitingFile | None:
        handles = self._own.get(fd, ())
        handle = next((one for one in (handles if events & READ else handles[::-1]) if one is not None), None)
        if handle is not None:
            return self._of_handle(fd, handle)
        label = _label(fd)
        return WaitingFile(fd, self._reader(fd), label) if label else None

    def _of_handle(self, fd: int, handle: Handle) -> WaitingFile | None:
        task = identity.behind(handle)
        if task is None and any(part is self._loop for part in loop_state.arguments(handle)):
            return None  # it reads the pipe by which signals wake the loop
        return WaitingFile(fd, task, identity.callback_name(handle))

    def _reader(self, fd: int) -> Task[Any] | None:
        """The task that reads from the stream of this socket."""
        if self._readers is None:
            self._readers = {}
            for reference in (register.registered() or ())[:MOST_TASKS]:
                task = reference()
                if task is None or task_state.is_done(task) or task.get_loop() is not self._loop:
                    continue
                transport = task_state.read_transport(task)
                near = transport.get_extra_info("socket") if uvloop_state.is_uvloops(transport) else None
                if near is not None:
                    self._readers[near.fileno()] = task
        return self._readers.get(fd)

    def _listed(self, epoll: int) -> list[tuple[int, int]]:
        """The descriptors and events of the files of *epoll*."""
        fd = self._library.open(f"/proc/self/fdinfo/{epoll}".encode(), os.O_RDONLY | os.O_CLOEXEC)
        if fd < 0:
            raise OSError("the kernel does not list what the loop waits for")
        buffer, length = ctypes.create_string_buffer(MOST_BYTES), 0
        try:
            while length < MOST_BYTES:
                room = ctypes.c_size_t(MOST_BYTES - length)
                got = self._library.read(fd, ctypes.byref(buffer, length), room)
                if got <= 0:
                    break
                length += got
        finally:
            self._library.close(fd)
        found = []
        for line in buffer.raw[:length].splitlines():
            # tfd:        5 events:       19 data:  ...
            words = line.split()
            if len(words) >= 4 and words[0] == b"tfd:" and words[2] == b"events:":
                found.append((int(words[1]), int(words[3], 16)))
        return found


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


def _label(fd: int) -> str:
    """What waits at a socket, as far as the socket itself tells; "" for a file that is not a socket."""
    try:
        # Not the program's own object, which may be in use; this one does not own the descriptor.
        copy = socket.socket(fileno=fd)
    except OSError:
        return ""
    try:
        if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return "a new connection"
        peer: Any = copy.getpeername()
        if isinstance(peer, tuple):
            host = f"[{peer[0]}]" if ":" in str(peer[0]) else peer[0]
            return f"the connection from {host}:{peer[1]}"
        return "a connection"
    except OSError:
        return "a socket"
    finally:
        copy.detach()
