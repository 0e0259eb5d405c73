"""Opens the console of a process in a thread, so that no loop waits for it, and closes it."""

from __future__ import annotations

import os
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...record.clock import monotonic, monotonic_ns
from ...record.observation import ConsoleOpened
from ..sanitize import printable
from ..threads import ConsoleThreads
from ..view.recent_events import RecentEvents

if TYPE_CHECKING:
    from ...probe.hooks.task_hook import TaskHook
    from ...probe.loop.loops import Loops
    from ...record.console_endpoint import ConsoleEndpoint
    from ...record.event import Event
    from ...record.run import RunFolder
    from ..view.process import Handler, ProcessView
    from .access_log import AccessLog
    from .connection import Connection
    from .listener import TcpListener
    from .server import ConsoleServer

# Another process of the same run may have taken the port, and not have told of it yet.
SIBLING_WITHIN_S = 1.0
# At the end of the process, what is still being opened is waited for.
OPEN_WITHIN_S = 2.0


class Console:
    """The console of one process, from now on until it is closed."""

    def __init__(
        self,
        *,
        loops: Loops,
        folder: RunFolder | None,
        pages: Path,
        allow: tuple[str, ...],
        port: int | None,
        write: Callable[[Event], bool],
        dropped: Callable[[], Mapping[str, int]],
        handlers: Mapping[str, Handler],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """*port* is for telnet, `None` for no such door, 0 for any; *pages* has the counters of the loops."""
        self.recent = RecentEvents()
        self.card: ConsoleEndpoint | None = None  # how to attach, once it is open
        self._loops = loops
        self._folder = folder
        self._pages = pages
        self._allow = allow
        self._port = port
        self._write = write
        self._dropped = dropped
        self._handlers = handlers
        self._on_error = on_error
        self._crew = ConsoleThreads(on_error)
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._is_closed = False
        self._card_file: Path | None = None
        self._service: ProcessView | None = None
        self._server: ConsoleServer | None = None
        self._audit: AccessLog | None = None
        self._births: TaskHook | None = None
        self._crew.start(self._open)

    def cpu_ns(self) -> int:
        """The CPU time of its threads so far."""
        return self._crew.cpu_ns()

    def running(self, loop: AbstractEventLoop) -> None:
        """*loop* begins to run."""
        if self._births is not None:
            self._births.begin(loop)

    def wait_open(self, *, within_s: float) -> bool:
        """Wait until it is open, or will never be; false when that takes longer."""
        return self._opened.wait(within_s)

    def close(self) -> None:
        """Send the clients away, undo what they have begun, and leave nothing behind."""
        self._opened.wait(OPEN_WITHIN_S)
        with self._lock:
            self._is_closed = True
        if self._card_file is not None and self.card is not None:
            from ...record import console_endpoint

            with suppress(OSError):
                console_endpoint.remove(self._card_file, self.card)
        if self._server is not None:
            self._server.close()
        if self._service is not None:
            self._service.close()
        if self._births is not None:
            self._births.end()
        if self._audit is not None:
            self._audit.tell()

    def abandon(self) -> None:
        """In a child after `fork`: the doors are the parent's, and so is whoever is inside."""
        if self._server is not None:
            self._server.abandon()
        if self._births is not None:
            self._births.end()

    def _open(self) -> None:
        try:
            # Here, in this thread: the imports alone take longer than a healthy loop's turn.
            from ...probe.hooks.task_hook import TaskHook
            from ..view.process import ProcessView

            births = TaskHook()
            service = ProcessView(
                folder=self._folder,
                loops=self._loops,
                recent=self.recent,
                threads=self._crew,
                allowed=frozenset(self._allow),
                write=self._write,
                dropped=self._dropped,
                handlers=self._handlers,
                on_error=self._on_error,
            )
            with self._lock:
                if self._is_closed:
                    return
                self._service, self._births = service, births
                self._serve(service)
            for view in service.loops():
                births.begin(view.loop)
            from ..view import loop_history

            loop_history.begin(service)
        finally:
            self._opened.set()

    def _serve(self, service: ProcessView) -> None:
        from ...probe import code_paths
        from ...record import console_endpoint
        from .access_log import AccessLog
        from .listener import Listener, UnixListener
        from .server import ConsoleServer

        folder = console_endpoint.new_folder()
        name = f"{os.getpid()}-{monotonic_ns():x}"
        socket = str(folder / f"{name}.sock")
        token = os.urandom(16).hex()
        doors: list[Listener] = [UnixListener(socket)]
        tcp, note = self._open_port(token)
        doors += [tcp] if tcp is not None else []
        self.card = console_endpoint.ConsoleEndpoint(
            pid=os.getpid(),
            ticks=console_endpoint.ticks_of(os.getpid()) or 0,
            program=tuple(sys.orig_argv),
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            socket=socket,
            port=tcp.port if tcp is not None else None,
            token=token if tcp is not None else "",
            allow=self._allow,
            folder=str(self._folder.path) if self._folder is not None else "",
            pages=str(self._pages),
            application=code_paths.application(self._loops.application),
            libraries=code_paths.libraries(),
        )
        self._card_file = folder / f"{name}.json"
        audit = self._audit = AccessLog(self._write, self._crew.cpu_ns)
        banner, prompt = _banner(self.card), f"{_program()}[{os.getpid()}]> "

        def converse(wire: Connection, who: str) -> None:
            from .session import ConsoleSession

            ConsoleSession(wire, who, banner, prompt, service, audit).run()

        self._server = ConsoleServer(doors, crew=self._crew, audit=audit, converse=converse)
        # Last: whoever finds the card can attach.
        console_endpoint.write(self._card_file, self.card)
        self._write(ConsoleOpened(monotonic_ns(), os.getpid(), str(self._card_file), self.card.port, note))

    def _open_port(self, token: str) -> tuple[TcpListener | None, str]:
        """The door for telnet, if one is asked for; and why it is not as asked."""
        if self._port is None:
            return None, ""
        from .listener import PortTakenError, TcpListener

        try:
            return TcpListener(self._port, token), ""
        except OSError as exc:
            if isinstance(exc, PortTakenError) and self._port_is_a_siblings():
                door = TcpListener(0, token)
                return door, f"port {self._port} is another process's of this run; here it is {door.port}"
            # The UNIX socket opens all the same.
            self._on_error("console", exc)
            return None, str(exc)

    def _port_is_a_siblings(self) -> bool:
        """Whether another process of the same run has the port that was asked for."""
        from ...record import console_endpoint

        deadline_s = monotonic() + SIBLING_WITHIN_S
        folder = str(self._folder.path) if self._folder is not None else None
        while True:
            for _, other in console_endpoint.endpoints():
                if (other.port, other.folder) == (self._port, folder) and console_endpoint.is_alive(other):
                    return True
            if monotonic() > deadline_s:
                return False
            time.sleep(0.05)


def _banner(card: ConsoleEndpoint) -> str:
    may = f"may {', '.join(card.allow)}" if card.allow else "reads only"
    run = f", run {Path(card.folder).name}" if card.folder else ""
    program = printable(" ".join(card.program))
    return f"console of pid {card.pid}: {program}{run}; {may}. help lists the commands."


def _program() -> str:
    """The program's name, for the prompt."""
    path = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path(sys.executable)
    return printable(path.parent.name if path.name == "__main__.py" else path.stem)
