"""Brings the probe into a running process, and takes it out again.

The way in is `sys.remote_exec`, called by the target's own interpreter. The way home is a socket, on which
the probe says that it is in, where its console is, or what went wrong; while it is open, the probe stays.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Self

from ...errors import HarnessError, TargetError
from ...record import value
from ...record.probe_config import ProbeConfig
from ...record.process import shared_folder
from ...record.process.console_endpoint import ConsoleEndpoint, ticks_of
from . import interpreter, signal_wakeup, waking
from .control_folder import ControlFolder
from .debug_protocol import DebugProtocol, UnknownLayoutError
from .subject import Subject, without

SCRIPT = Path(__file__).resolve().parents[2] / "probe" / "entry" / "attach_entry.py"
# A busy service gets there by itself within a turn of its loop; after this time it is woken up.
WAKE_AFTER_S = 0.05
# After this time the answer comes from outside.
BLOCKED_AFTER_S = 1.0
# A worker that is blocked must not keep the others waiting.
WORKER_WITHIN_S = 3.0
# What follows the entry takes the probe some tenths of a second, and longer in a process that is busy.
ANSWER_WITHIN_S = 30.0
LEAVE_WITHIN_S = 10.0


class Entry:
    """The probe in one process, for the duration of the ``with`` block.

    Raises:
        UsageError: The process cannot be entered, for a reason that stays.
        TargetError: It may not be entered, has ended, or did not come to a point where that is possible.
    """

    def __init__(
        self,
        subject: Subject,
        config: ProbeConfig,
        *,
        wait_s: float,
        on_blocked: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare it.

        Args:
            subject: The process.
            config: Of the probe. "" as its folder stands for one that ends with the entry.
            wait_s: How long to wait for a point at which it can be entered.
            on_blocked: Called once if that is not at once, to look at the process from outside.
        """
        self.subject = subject
        self.loops = 0  # that run in it
        self.note = ""  # about its console
        self._config = config
        self._wait_s = wait_s
        self._on_blocked = on_blocked
        self._control: ControlFolder | None = None
        self._listening: socket.socket | None = None
        self._channel: socket.socket | None = None
        self._received = b""
        self._is_closed = False  # by the process
        # The place of the descriptor by which an idle uvloop is woken.
        self._wakeup_at: int | None = None
        self._endpoint: ConsoleEndpoint | None = None

    @property
    def endpoint(self) -> ConsoleEndpoint:
        """How to reach its console.

        Raises:
            TargetError: It has not opened.
        """
        if self._endpoint is None:
            raise TargetError(f"process {self.subject.pid}: the console has not opened: {self.note}")
        return self._endpoint

    @property
    def channel(self) -> socket.socket:
        """Readable once the process has ended, or the probe has left it."""
        assert self._channel is not None
        return self._channel

    @property
    def control(self) -> ControlFolder:
        """The folder through which the process was entered."""
        assert self._control is not None
        return self._control

    def into(self, folder: Path) -> Entry:
        """The same with another folder for the record, a path as the process sees it."""
        made = Entry(
            self.subject,
            value.replace(self._config, folder=str(folder)),
            wait_s=self._wait_s,
            on_blocked=self._on_blocked,
        )
        made._control, self._control = self._control, None
        return made

    def beside(self, subject: Subject) -> Entry:
        """The same for another process of the program."""
        if subject.root_id != self.subject.root_id:
            raise TargetError(f"{subject.pid}: it lives in another container than its parent")
        return Entry(subject, self._config, wait_s=min(self._wait_s, WORKER_WITHIN_S))

    def prepare(self) -> ControlFolder:
        """Make the control folder; `__enter__` does it otherwise."""
        if self._control is None:
            self._control = ControlFolder(self.subject)
        return self._control

    def __enter__(self) -> Self:
        try:
            control = self.prepare()
            control.put("modules", interpreter.modules_for(self.subject))
            control.put("order", self._order(control).encode())
            control.put("enter.py", f"{SCRIPT.read_text()}\n\n_begin({control.inside!r})\n".encode())
            self._listening = control.listen()
            self._wakeup_at = interpreter.ask_for_entry(
                self.subject, control.script, with_wakeup=signal_wakeup.is_needed(self.subject.pid)
            )
            self._channel = self._come_in()
            self._take(self._message("entered", within_s=ANSWER_WITHIN_S))
            if self._config.console is not None:
                self._take(self._message("console", within_s=ANSWER_WITHIN_S))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def leave(self) -> str:
        """Let the probe leave, and return what stayed, "" for nothing; a second call has no effect."""
        if self._channel is None:
            return ""
        stayed = ""
        try:
            with suppress(OSError):  # it has left already, and told why
                self._channel.sendall(b"l")
            left = self._message("left", within_s=LEAVE_WITHIN_S)
            told = [str(left["failed"])] if "failed" in left else []
            if left.get("threads"):
                told.append(f"{left['threads']} of its threads are still in a call")
            stayed = "; ".join([*told, *left.get("errors", ())])
            with suppress(OSError):
                self._channel.sendall(b".")
        except OSError:
            self._is_closed = True
        except HarnessError as exc:
            # It is blocked, and will find the channel closed; or it has closed that itself, because it has
            # ended, or runs another program, with all that was in it.
            stayed = "" if self._is_closed else str(exc)
        self._channel.close()
        self._channel = None
        return stayed

    def _order(self, control: ControlFolder) -> str:
        config = self._config
        if not config.folder:
            for name in shared_folder.FOLDERS:
                control.make(name)
            config = value.replace(config, folder=str(control.inside))
        return config.text()

    def _come_in(self) -> socket.socket:
        """Wait until the probe connects, and do what helps."""
        assert self._listening is not None
        began_s, woken, told, asked_others = monotonic(), 0.0, False, False
        while True:
            if select.select([self._listening], [], [], 0.02)[0]:
                return self._listening.accept()[0]
            waited_s, pid = monotonic() - began_s, self.subject.pid
            if ticks_of(pid) is None:
                raise TargetError(f"process {pid} has ended before it could be entered")
            if waited_s > self._wait_s:
                raise self._too_late()
            if waited_s > WAKE_AFTER_S and waited_s > woken * 2:
                woken = waited_s
                if not waking.wake(pid, pid) and not asked_others:
                    asked_others = self._ask_others()
                self._wake_uvloop()
            if waited_s > BLOCKED_AFTER_S and not told:
                told = True
                self._on_blocked()

    def _ask_others(self) -> bool:
        """Ask the threads beside the main one, which waits for a lock; false if it does not."""
        pid = self.subject.pid
        if not waking.waits_for_lock(pid, pid):
            return False
        with suppress(OSError, UnknownLayoutError):
            protocol = DebugProtocol(pid, self.subject.version)
            for thread in protocol.threads():
                if thread.native_id != pid:
                    protocol.ask(thread, self.control.script)
                    waking.wake(pid, thread.native_id)
        return True

    def _wake_uvloop(self) -> None:
        if (place := self._wakeup_at) is None:
            return
        pid = self.subject.pid
        with suppress(OSError, UnknownLayoutError):
            protocol = DebugProtocol(pid, self.subject.version)
            signal_wakeup.wake(pid, lambda: protocol.number_at(place))

    def _too_late(self) -> TargetError:
        pid = self.subject.pid
        exc = TargetError(
            f"process {pid} has executed no Python for {self._wait_s:g} s in a thread that can be entered"
        )
        exc.add_note(f"harness attach {pid} --sample 10: records it from outside")
        exc.add_note("--wait S waits longer.")
        return exc

    def _take(self, message: dict[str, Any]) -> None:
        if "entered" in message:
            self.loops = int(message["entered"])
        if "console" in message:
            self.note = str(message.get("note", ""))
            if message["console"] is not None:
                self._endpoint = self._outside(message["console"])

    def _outside(self, inside: dict[str, Any]) -> ConsoleEndpoint:
        """The endpoint as this process can reach it."""
        lists = {name: tuple(inside[name]) for name in ("program", "allow", "application", "libraries")}
        found, root = ConsoleEndpoint(**{**inside, **lists}), self.subject.root
        return replace(
            found, pid=self.subject.pid, socket=f"{root}{found.socket}", pages=f"{root}{found.pages}"
        )

    def _message(self, key: str, *, within_s: float) -> dict[str, Any]:
        """The next message that has *key*."""
        deadline_s = monotonic() + within_s
        while True:
            message = self._next(deadline_s)
            pid = self.subject.pid
            if "refused" in message:
                raise without(pid, str(message["refused"]))
            if "failed" in message and key not in message:
                raise TargetError(f"process {pid}: the probe could not enter: {message['failed']}")
            if key in message:
                return message

    def _next(self, deadline_s: float) -> dict[str, Any]:
        channel, pid = self.channel, self.subject.pid
        while b"\n" not in self._received:
            channel.settimeout(max(1e-3, deadline_s - monotonic()))
            try:
                data = channel.recv(64 * 1024)
            except TimeoutError:
                raise TargetError(f"process {pid}: the probe in it does not answer") from None
            except OSError:
                data = b""
            if not data:
                self._is_closed = True
                ended = ticks_of(pid) is None
                what = "has ended" if ended else "let the probe go without a word"
                raise TargetError(f"process {pid} {what}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _end(self) -> None:
        was_in = self._channel is not None
        self.leave()
        if self._endpoint is not None and self._is_closed:
            # The process could not remove them.
            for path in (Path(self._endpoint.socket), Path(self._endpoint.socket).with_suffix(".json")):
                with suppress(OSError):
                    path.unlink()
        if self._listening is not None:
            self._listening.close()
        if self._control is not None:
            asked = self._listening is not None and not was_in
            # A request that nobody has followed stays in its memory: the script may still be executed.
            self._control.remove(may_run=asked and not self._control.is_taken() and not self._take_back())
            self._control = None

    def _take_back(self) -> bool:
        try:
            DebugProtocol(self.subject.pid, self.subject.version).take_back()
        except (OSError, UnknownLayoutError):
            return ticks_of(self.subject.pid) is None
        return True
