"""An aiomonitor console inside the target, on loopback, for `telnet`.

aiomonitor comes from the target's own environment. Its web interface, which anybody on the machine could
use to cancel tasks, stays closed; the port is checked first, because aiomonitor itself would share a port
that another process has taken, in silence.
"""

from __future__ import annotations

import socket
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..record.observation import ArtefactWritten, Observation

HOST = "127.0.0.1"


class Console:
    """Opens one console, for the first loop that runs."""

    def __init__(
        self,
        port: int,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
        ignore: Callable[[threading.Thread], None],
    ) -> None:
        """*port* 0 takes a free one; *ignore* tells the watch of a thread whose loop is not the target's."""
        self._port = port
        self._write = write
        self._on_error = on_error
        self._ignore = ignore
        self._asked = False

    def open(self, loop: AbstractEventLoop) -> None:
        """Open it beside *loop*, which runs in this thread."""
        if not self._asked:
            self._asked = True
            # A thread, not here: the import and the start take half a second, and would block the loop.
            opening = threading.Thread(
                target=self._open, args=(loop, threading.get_ident()), name="harness-console", daemon=True
            )
            opening.start()

    def _open(self, loop: AbstractEventLoop, loop_thread: int) -> None:
        try:
            port = _free(self._port)
            monitor = _monitor(loop, port)
            self._ignore(monitor._ui_thread)
            monitor.start()
            # `start` takes the thread that calls it for the loop's.
            monitor._event_loop_thread_id = loop_thread
            note = f"telnet {HOST} {port}"
            self._write(ArtefactWritten(time.monotonic_ns(), "aiomonitor", "", note))
        except Exception as exc:
            self._on_error("console", exc)


def _free(port: int) -> int:
    """*port*, or a free one for 0.

    Raises:
        OSError: Somebody listens there.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((HOST, port))
        return int(trial.getsockname()[1])


def _monitor(loop: AbstractEventLoop, port: int) -> Any:
    import aiomonitor
    from aiomonitor import monitor as module

    class _NoSite:
        def __init__(self, *_args: object, **_kwargs: object) -> None: ...

        async def start(self) -> None: ...

    module.web = SimpleNamespace(AppRunner=module.web.AppRunner, TCPSite=_NoSite)
    return aiomonitor.Monitor(
        loop,
        host=HOST,
        termui_port=port,
        console_enabled=False,  # the Python prompt would open a port of its own
        hook_task_factory=False,  # it makes each task 15 to 22 times dearer
    )
