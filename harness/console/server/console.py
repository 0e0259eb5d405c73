"""Opens a process's console in a thread, so that no loop waits for it, and closes it."""

from __future__ import annotations

import os
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping
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
    from ...record.event import Event
    from ...record.process.console_endpoint import ConsoleEndpoint
    from ...record.run_folder import RunFolder
    from ..view.process import Handler, ProcessView
    from .access_log import AccessLog
    from .connection import Connection
    from .listener import TcpListener
    from .server import ConsoleServer

# Another process of the same run may have taken the port without having written its endpoint yet.
SIBLING_WITHIN_S = 1.0
# How long the exit of the process waits for a console that is still opening.
OPEN_WITHIN_S = 2.0


class Console:
    """The console of a process, which opens at once and serves until it is closed."""

    def __init__(
        self,
        *,
        loops: Loops,
        folder: RunFolder | None,
        pages: Path,
        allow: tuple[str, ...],
        port: int | None,
        admit: int | None = None,
        write: Callable[[Event], bool],
        dropped: Callable[[], Mapping[str, int]],
        handlers: Mapping[str, Handler],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """Open it.

        Args:
            loops: The loops of this process.
            folder: Of the run; `None` without a record.
            pages: Where the counters of the loops are.
            allow: The permissions beyond reading.
            port: For telnet: `None` for no port, 0 for any.
            admit: The user who may connect besides this process's own.
            write: Puts an event into the record.
            dropped: The numbers of events and spans that did not reach it.
            handlers: The requests of features, by name.
            on_error: Called with the name of a part that raised.
        """
        self.recent = RecentEvents()
        self.endpoint: ConsoleEndpoint | None = None  # how to attach, once it is open
        self._loops = loops
        self._folder = folder
        self._pages = pages
        self._allow = allow
        self._port = port
        self._admit = admit
        self._write = write
        self._dropped = dropped
        self._handlers = handlers
        self._on_error = on_error
        self._threads = ConsoleThreads(on_error)
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._is_closed = False
        self._endpoint_file: Path | None = None
        self._process: ProcessView | None = None
        self._server: ConsoleServer | None = None
        self._access_log: AccessLog | None = None
        self._task_hook: TaskHook | None = None
        self._threads.start(self._open)

    def cpu_ns(self) -> int:
        """The CPU time of the console's threads so far."""
        return self._threads.cpu_ns()

    def running(self, loop: AbstractEventLoop) -> None:
        """Called when *loop* begins to run."""
        if self._task_hook is not None:
            self._task_hook.begin(loop)

    def wait_open(self, *, within_s: float) -> bool:
        """Wait until the console has opened or failed to open; false on timeout."""
        return self._opened.wait(within_s)

    def close(self) -> None:
        """Disconnect the clients, undo what they have changed, and leave nothing behind."""
        self._opened.wait(OPEN_WITHIN_S)
        with self._lock:
            self._is_closed = True
        if self._endpoint_file is not None and self.endpoint is not None:
            from ...record.process import console_endpoint

            with suppress(OSError):
                console_endpoint.remove(self._endpoint_file, self.endpoint)
        if self._server is not None:
            self._server.close()
        if self._process is not None:
            self._process.close()
        if self._task_hook is not None:
            self._task_hook.end()
        if self._access_log is not None:
            self._access_log.flush()

    def abandon(self) -> None:
        """In a forked child, release what belongs to the parent: its listeners and clients."""
        if self._server is not None:
            self._server.abandon()
        if self._task_hook is not None:
            self._task_hook.end()

    def _open(self) -> None:
        try:
            # In this thread: the imports alone take longer than a turn of a healthy loop.
            from ...probe.hooks.task_hook import TaskHook
            from ..view.process import ProcessView

            task_hook = TaskHook()
            process = ProcessView(
                folder=self._folder,
                loops=self._loops,
                recent=self.recent,
                threads=self._threads,
                allowed=frozenset(self._allow),
                write=self._write,
                dropped=self._dropped,
                handlers=self._handlers,
                on_error=self._on_error,
            )
            with self._lock:
                if self._is_closed:
                    return
                self._process, self._task_hook = process, task_hook
                self._serve(process)
            for view in process.loops():
                task_hook.begin(view.loop)
            process.history.start(process)
        finally:
            self._opened.set()

    def _serve(self, process: ProcessView) -> None:
        from ...probe import code_paths
        from ...record.process import console_endpoint
        from .access_log import AccessLog
        from .listener import Listener, UnixListener
        from .server import ConsoleServer

        folder = console_endpoint.new_folder()
        name = f"{os.getpid()}-{monotonic_ns():x}"
        socket = str(folder / f"{name}.sock")
        token = os.urandom(16).hex()
        listeners: list[Listener] = [UnixListener(socket, admit=self._admit)]
        tcp, note = self._open_port(token)
        listeners += [tcp] if tcp is not None else []
        self.endpoint = console_endpoint.ConsoleEndpoint(
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
        self._endpoint_file = folder / f"{name}.json"
        access_log = self._access_log = AccessLog(self._write, self._threads.cpu_ns)
        banner, prompt = _banner(self.endpoint), f"{_program()}[{os.getpid()}]> "

        def greeting(process: ProcessView) -> Iterator[str]:
            from ..view import judgement

            yield banner
            # What is wrong so far, as a report would begin now.
            yield judgement.judge(process).sentence

        def converse(connection: Connection, client: str) -> None:
            from .session import ConsoleSession

            ConsoleSession(connection, client, greeting, prompt, process, access_log).run()

        self._server = ConsoleServer(
            listeners, threads=self._threads, access_log=access_log, converse=converse
        )
        # Last: a client that finds the endpoint's file can attach.
        console_endpoint.write(self._endpoint_file, self.endpoint)
        opened = ConsoleOpened(
            monotonic_ns(), os.getpid(), str(self._endpoint_file), self.endpoint.port, note
        )
        self._write(opened)

    def _open_port(self, token: str) -> tuple[TcpListener | None, str]:
        """The listener for telnet, if a port is configured; and a note if it is not as configured."""
        if self._port is None:
            return None, ""
        from .listener import PortTakenError, TcpListener

        try:
            return TcpListener(self._port, token), ""
        except OSError as exc:
            if isinstance(exc, PortTakenError) and self._sibling_has_port():
                tcp = TcpListener(0, token)
                return tcp, f"port {self._port} belongs to another process of this run; using {tcp.port}"
            # The UNIX socket still opens.
            self._on_error("console", exc)
            return None, str(exc)

    def _sibling_has_port(self) -> bool:
        """Whether another process of the same run has the configured port."""
        from ...record.process import console_endpoint

        deadline_s = monotonic() + SIBLING_WITHIN_S
        folder = str(self._folder.path) if self._folder is not None else None
        while True:
            for _, other in console_endpoint.endpoints():
                if (other.port, other.folder) == (self._port, folder) and console_endpoint.is_alive(other):
                    return True
            if monotonic() > deadline_s:
                return False
            time.sleep(0.05)


def _banner(endpoint: ConsoleEndpoint) -> str:
    may = f"may {', '.join(endpoint.allow)}" if endpoint.allow else "reads only"
    run = f", run {Path(endpoint.folder).name}" if endpoint.folder else ""
    program = printable(" ".join(endpoint.program))
    return f"console of pid {endpoint.pid}: {program}{run}; {may}. help lists the commands."


def _program() -> str:
    """The program's name, for the prompt."""
    path = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path(sys.executable)
    return printable(path.parent.name if path.name == "__main__.py" else path.stem)
