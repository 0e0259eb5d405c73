"""The probe in a process that was not started with it: brought in while it runs, and taken out again.

`entry/attach_entry.py` loads it, in a thread of its own. The channel to the process that has attached is what
keeps it in: when that process ends, in whatever way, the kernel closes the channel, and the probe leaves.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ..record import hidden_thread
from ..record.clock import monotonic
from ..record.event import Event
from ..record.hidden_thread import Background
from ..record.observation import ConsoleOpened, ProbeFailed
from ..record.process import console_endpoint
from ..record.process.mark import ATTACHED
from . import code_paths
from .feature import Feature
from .hooks import loop_hook, runtime
from .hooks.exception_hook import install_exception_handler, install_unawaited
from .hooks.group_hook import install as install_group_hook
from .hooks.hook import Hook, is_the_programs
from .hooks.process import fork_hook
from .hooks.state import module_state
from .process_marks import ProcessMarks
from .session import ProbeSession

# The console imports some hundred modules, at a pace that leaves the loops their time.
CONSOLE_WITHIN_S = 10.0
# Of those that went wrong while it was in, the first ones are told at the end.
ERRORS = 5
# How long the threads of the probe may take to end.
END_WITHIN_S = 5.0
# Of all modules of the probe.
_PACKAGE = (__package__ or "").partition(".")[0]
_CREDENTIALS = struct.Struct("3i")


class NotEnterableError(Exception):
    """The probe cannot watch this process."""


class Attachment:
    """The probe in this process, until the channel is closed."""

    def __init__(
        self,
        order: str,
        channel: socket.socket,
        *,
        forget: Callable[[], object],
        end: Callable[[], object],
    ) -> None:
        """Prepare it.

        Args:
            order: The probe's configuration, as text.
            channel: To the process that has attached; messages are lines of JSON.
            forget: Removes the probe's modules from this process.
            end: Does that as well, and ends the conversation; called once the probe has left.
        """
        self._order = order
        self._channel = channel
        self._forget = forget
        self._end = end
        self._pid = os.getpid()
        # What is to be undone, the latest first.
        self._undoings: list[Callable[[], object]] = []
        self._entering = Hook("attach")
        self._session: ProbeSession | None = None
        self._news = _News()

    def begin(self, here: AbstractEventLoop | None) -> None:
        """Watch the running loops, *here* among them, and those that begin to run later.

        Raises:
            NotEnterableError: That is not possible.
            OSError: The record cannot be opened.
        """
        import asyncio.events

        if reason := runtime.why_no_loop_hook(asyncio.events) or runtime.why_no_session():
            raise NotEnterableError(reason)
        running = [loop for loop in (here, *loop_hook.loops_in_other_threads()) if loop is not None]
        running = list({id(loop): loop for loop in running}.values())
        if not running:
            raise NotEnterableError("no event loop runs in it")
        try:
            self._watch(running)
            # In it, the channel keeps the probe here.
            Background(lambda: self._stay(len(running)))
        except BaseException:
            self._undo()
            raise

    def _watch(self, running: list[AbstractEventLoop]) -> None:
        self._undoings += [lambda: module_state.forget_overloads(_PACKAGE), fork_hook.forget_forks]
        fork_hook.keep_forks_quiet()
        fork_hook.in_forked_child(self._abandon)
        ProcessMarks(self._order, ATTACHED)
        # What the first loop would otherwise have to wait for.
        code_paths.libraries()
        self._session = session = ProbeSession(self._with_client(), None)
        self._undoings.append(session.withdraw)
        session.add(self._news)
        for error in session.opening_errors:
            self._news.take(error)
        self._undoings.append(self._entering.undo)
        self._observe_losses()
        self._undoings.append(lambda: loop_hook.unsubscribe(self._changed))
        loop_hook.subscribe(self._changed)
        for loop in running:
            with suppress(RuntimeError):  # it has closed
                # Watching a loop must begin on its own thread.
                loop.call_soon_threadsafe(self._entering.guarded(self._changed), loop)

    def _with_client(self) -> str:
        """The order, with the user who has attached as one whom the console admits."""
        if "\nconsole=" not in self._order:
            return self._order
        found = self._channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return f"{self._order}\nconsole_admit={_CREDENTIALS.unpack(found)[1]}"

    def _observe_losses(self) -> None:
        import asyncio.taskgroups
        import warnings

        kinds = [asyncio.BaseEventLoop]
        if (uvloops := getattr(sys.modules.get("uvloop"), "Loop", None)) is not None:
            kinds.append(uvloops)
        for kind in kinds:
            self._undoings.append(install_exception_handler(kind, lambda: self._session).undo)
        self._undoings.append(install_unawaited(warnings, lambda: self._session).undo)
        self._undoings.append(install_group_hook(asyncio.taskgroups).undo)

    def _changed(self, loop: AbstractEventLoop | None) -> None:
        # asyncio is called first after a fork, and tells that no loop runs: that one is the parent's.
        if (session := self._session) is not None and os.getpid() == self._pid:
            session.loop_changed(loop)

    def _stay(self, loops: int) -> None:
        try:
            try:
                self._remain(loops)
            finally:
                self._undo()
            self._say({"left": True, "threads": self._threads(), "errors": self._news.errors})
        except BaseException as exc:
            self._undo()
            self._say({"left": False, "failed": _text(exc), "errors": self._news.errors})
        finally:
            self._end()

    def _remain(self, loops: int) -> None:
        """Return when the channel is closed, or the other side asks to leave."""
        self._say({"entered": loops, "python": sys.version.partition(" ")[0]})
        if "\nconsole=" in self._order:
            self._say(self._news.console(within_s=CONSOLE_WITHIN_S))
        with suppress(OSError):
            self._channel.recv(1)

    def _threads(self) -> int:
        """How many threads of the probe, beside this one, have not ended in time."""
        deadline_s = monotonic() + END_WITHIN_S
        while (threads := hidden_thread.alive() - 1) > 0 and monotonic() < deadline_s:
            time.sleep(0.005)
        return max(0, threads)

    def _abandon(self) -> None:
        """In a child after `fork`: what is the parent's is released, and the child has no probe."""
        if (session := self._session) is not None:
            self._undoings = [undo for undo in self._undoings if undo != session.withdraw]
            self._undoings.append(session.abandon)
        self._undoings[:0] = [self._forget, self._channel.close]
        self._undo()

    def _undo(self) -> None:
        """Take everything back; an error in one step does not keep the others from being taken."""
        self._session = None
        theirs: BaseException | None = None
        while self._undoings:
            undo = self._undoings.pop()
            try:
                undo()
            except BaseException as exc:
                if is_the_programs(exc):
                    theirs = exc
                else:
                    self._news.note(_text(exc))
        if theirs is not None:
            raise theirs

    def _say(self, message: dict[str, object]) -> None:
        with suppress(OSError):  # nobody listens any more
            self._channel.sendall(json.dumps(message).encode() + b"\n")


def _text(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}".removesuffix(": ")


class _News(Feature):
    """Learns what those who have attached want to know: how to reach the console, and what went wrong."""

    name = "attach"

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._opened = threading.Event()
        self._console: dict[str, object] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, ConsoleOpened):
            found = console_endpoint.read(Path(event.card))
            self._console = {"console": asdict(found) if found is not None else None, "note": event.note}
            self._opened.set()
        elif isinstance(event, ProbeFailed):
            self.note(f"{event.where}: {event.error}")
            if event.where == "console" and not self._opened.is_set():
                self._console = {"console": None, "note": event.error}
                self._opened.set()

    def close(self) -> None:
        # After an error in here nothing more is heard, so nobody has to wait for it.
        if not self._opened.is_set():
            self._console = {"console": None, "note": "; ".join(self.errors) or "the probe leaves"}
            self._opened.set()

    def note(self, error: str) -> None:
        """Keep an error until the end."""
        if len(self.errors) < ERRORS:
            self.errors.append(error)

    def console(self, *, within_s: float) -> dict[str, object]:
        """The message that tells how to reach the console."""
        if not self._opened.wait(within_s):
            return {"console": None, "note": f"it did not open within {within_s:g} s"}
        return self._console
