"""`open_console`: the probe's console in a program that was not started by `harness run` or `harness watch`.

Without a run there is no record: what the console shows is kept in memory. `harness attach PID` finds it.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from asyncio import AbstractEventLoop
from collections.abc import Iterable
from typing import Self
from weakref import WeakSet

from .console.server.console import Console
from .probe.control.faults import FaultInjector
from .probe.hooks.runtime import why_no_session
from .probe.loop.watch import LoopWatch
from .record.event import Event
from .record.probe_config import PERMISSIONS
from .record.process import console_endpoint
from .record.process.console_endpoint import ConsoleEndpoint
from .record.run_folder import RunFolder

log = logging.getLogger(__name__)


def open_console(allow: Iterable[str] = (), port: int | None = None, limit_ms: float = 100) -> LiveConsole:
    """Open a console for the duration of the ``with`` block.

    It runs in its own thread. If it cannot be opened, a warning is logged and the program continues. It
    watches the same loops as `watch_loop`.

    Args:
        allow: What it may do in addition to reading, of "cancel", "signal", "repl" and "chaos".
        port: Loopback port for telnet with a token; 0 takes a free one, None opens none.
        limit_ms: A loop turn longer than this is a block; at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    permissions = tuple(dict.fromkeys(allow))
    if unknown := set(permissions) - set(PERMISSIONS):
        raise ValueError(
            f"allow: expected some of {', '.join(PERMISSIONS)}, got {', '.join(sorted(unknown))}"
        )
    if port is not None and not 0 <= port <= 65535:
        raise ValueError(f"port must be 0 to 65535, got {port!r}")
    if not (math.isfinite(limit_ms) and limit_ms >= 1):
        raise ValueError(f"limit_ms must be finite and at least 1, got {limit_ms!r}")
    return LiveConsole(permissions, port, limit_ms)


class LiveConsole:
    """The result of `open_console`: a context manager that can be entered once."""

    def __init__(self, allow: tuple[str, ...], port: int | None, limit_ms: float) -> None:
        self._allow = allow
        self._port = port
        self._limit_ns = round(limit_ms * 1e6)
        self._attention: LoopWatch | None = None
        self._console: Console | None = None
        self._pages: RunFolder | None = None
        self._faults = FaultInjector(self._take, on_error=self._failed)

    def wait_open(self, *, within_s: float = 5.0) -> ConsoleEndpoint | None:
        """Wait until the console is open, and return its endpoint: pid, socket, port and token.

        Returns None if it cannot be opened, or is not open within *within_s* seconds.
        """
        if self._console is None or not self._console.wait_open(within_s=within_s):
            return None
        return self._console.endpoint

    def __enter__(self) -> Self:
        if self._attention is not None:
            raise RuntimeError("a console can be entered once; call open_console() for another")
        if reason := why_no_session():
            log.warning("the console cannot be opened: %s", reason)
            return self
        try:
            # `attach` reads the loops' counters here while the process does not answer.
            self._pages = _new_pages()
        except (OSError, console_endpoint.FolderRefusedError) as exc:
            log.warning("the console cannot be opened: %s", exc)
        attention = self._attention = LoopWatch(
            self._pages,
            limit_ns=self._limit_ns,
            write=self._take,
            on_error=self._failed,
            on_running=self._running,
        )
        if self._pages is not None:
            self._console = Console(
                loops=attention.loops,
                folder=None,
                pages=self._pages.loops,
                allow=self._allow,
                port=self._port,
                write=self._take,
                dropped=dict,
                handlers={
                    "inject": self._faults.inject,
                    "heal": self._faults.heal,
                    "faults": self._faults.in_force,
                    "look": lambda _: attention.look(),
                },
                on_error=self._failed,
            )
            _open.add(self)
        attention.begin()
        return self

    def __exit__(self, *_: object) -> None:
        # Not in a child that was forked inside the block: there the console is the parent's.
        if self._attention is None or not self._attention.end():
            return
        _open.discard(self)
        if self._console is not None:
            self._console.close()
        self._faults.heal_all()
        if self._pages is not None:
            shutil.rmtree(self._pages.path, ignore_errors=True)

    def abandon(self) -> None:
        """Drop the console in a child after `fork`: its sockets are the parent's."""
        if self._console is not None:
            self._console.abandon()
        self._faults.heal_all()

    def _running(self, loop: AbstractEventLoop) -> None:
        if self._console is not None:
            self._console.running(loop)

    def _take(self, event: Event) -> bool:
        if self._console is not None:
            self._console.recent.take(event)
        return True

    def _failed(self, where: str, error: BaseException) -> None:
        log.warning("the console failed in its part %r: %r", where, error)


def _new_pages() -> RunFolder:
    folder = RunFolder(console_endpoint.new_folder() / f"{os.getpid()}-{time.monotonic_ns():x}")
    folder.loops.mkdir(mode=0o700, parents=True)
    return folder


_open: WeakSet[LiveConsole] = WeakSet()


def _abandon_all() -> None:
    for live in tuple(_open):
        live.abandon()
    _open.clear()


os.register_at_fork(after_in_child=_abandon_all)
