"""The probe in one process: waits for a loop to run, and opens a `ProbeSession` then.

A process that never runs a loop pays for one small file. Errors in here are recorded or counted, and never
reach the target. Every Python process of the target pays for the imports at the top, so they are few.
"""

from __future__ import annotations

import os
import sys
from time import thread_time_ns

from .hooks import hook
from .hooks.hook import Hook
from .hooks.import_hook import PostImportHook
from .hooks.process import launch_hook
from .hooks.process.fork_hook import in_forked_child, keep_forks_quiet
from .hooks.process.framework_hook import watch_frameworks
from .hooks.process.process_hook import before_calls
from .hooks.process.signal_hook import is_main_interpreter
from .process_marks import ProcessMarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

    from .calls.interception import Interception
    from .session import ProbeSession


# The parts without which no loop is watched.
_NEEDED = ("entry", "imports", "loops")


class ProbedProcess:
    """The state of the probe in this process, through `fork`, `exec` and `os._exit`."""

    def __init__(self, order: str, entered: str, began_ns: int) -> None:
        """Mark the process.

        Args:
            order: The text of the environment variable; see `record/probe_config.py`.
            entered: How the probe came in; see `record/process/mark.py`.
            began_ns: The CPU time of this thread when it began to load the probe.
        """
        self._began_ns = began_ns
        self._entry_ns = 0  # what that has cost
        self._order = order
        self._marks = ProcessMarks(order, entered)
        self._session: ProbeSession | None = None
        self._interception: Interception | None = None
        self._broken = self._observes_ends = self._observes_forks = False

    def enter(self) -> None:
        """Wait for asyncio, uvloop and OpenTelemetry to be imported, and for the process to fork or end."""
        if not is_main_interpreter():
            # Its threads and ctypes, which a session needs, end the process in a subinterpreter.
            self._marks.unable("its loop runs in a subinterpreter, which is not watched")
            return
        hook.listen(self)
        # One by one: an error in one of them leaves the others.
        for step in (self._watch_imports, self._watch_forks, self._watch_ends, self._watch_users):
            Hook("entry").guarded(step)()
        self._entry_ns = thread_time_ns() - self._began_ns

    def hook_failed(self, where: str, error: str) -> None:
        """Mark the process if loops cannot be observed; the session records other errors once it opens."""
        if where in _NEEDED:
            self._marks.unable(f"the probe failed in {where}: {error}")

    def left_out(self, part: str, reason: str) -> None:
        """Mark the process if loops cannot be observed."""
        if part in _NEEDED:
            self._marks.unable(reason)

    def _watch_imports(self) -> None:
        hooks = PostImportHook()
        hooks.watch("asyncio.events", "loops", self._hook_loops)
        hooks.watch("asyncio.events", "signals", self._hook_signals)
        hooks.watch("asyncio.base_events", "lost exceptions", self._hook_tasks)
        hooks.watch("asyncio.taskgroups", "groups", self._hook_groups)
        hooks.watch("uvloop", "lost exceptions", self._hook_uvloop)
        hooks.watch("opentelemetry.sdk.trace", "spans", self._hook_spans)
        hooks.watch("tracemalloc", "snapshots of tracemalloc", self._hook_snapshots)
        Hook("other frameworks").guarded(watch_frameworks)(hooks, self._marks.framework)
        if "\ncalls=" in self._order:
            Hook("calls").guarded(self._intercept)(hooks)

    def _watch_forks(self) -> None:
        keep_forks_quiet()
        in_forked_child(self._forked)
        self._observes_forks = True

    def _watch_ends(self) -> None:
        # These end the program without running Python's exit handlers.
        before_calls("end of the process", ("_exit", "abort", "execv", "execve"), self._leave)

    def _watch_users(self) -> None:
        if os.geteuid() == 0:
            before_calls("change of user", ("setuid", "seteuid", "setreuid", "setresuid"), self._admit)
            before_calls("change of root", ("chroot",), lambda *_: self._keep_at_hand())

    def _hook_loops(self, events: ModuleType) -> None:
        from .hooks import runtime
        from .hooks.loop_hook import subscribe

        hook.leave_out("loops", reason := runtime.why_no_loop_hook(events))
        if not reason:
            subscribe(self._loop_changed)

    def _hook_signals(self, _events: ModuleType) -> None:
        from .hooks.process.signal_hook import install

        install(self._shutdown_requested, self._may_end_by_signal)

    def _shutdown_requested(self, number: int, frame: FrameType | None) -> Callable[[], object] | None:
        session = self._session
        return session.shutdown_requested(number, frame) if session is not None else None

    def _loop_changed(self, loop: AbstractEventLoop | None) -> None:
        began_ns = thread_time_ns()
        session = self._open_session() if loop is not None else self._session
        if session is not None:
            session.loop_changed(loop)
            session.spend(thread_time_ns() - began_ns)

    def _hook_tasks(self, base_events: ModuleType) -> None:
        import warnings

        from .hooks.exception_hook import install_exception_handler, install_unawaited

        install_exception_handler(base_events.BaseEventLoop, lambda: self._session)
        install_unawaited(warnings, lambda: self._session)

    def _hook_groups(self, taskgroups: ModuleType) -> None:
        from .hooks.group_hook import install

        install(taskgroups)

    def _hook_uvloop(self, uvloop: ModuleType) -> None:
        from .hooks.exception_hook import install_exception_handler

        install_exception_handler(uvloop.Loop, lambda: self._session)

    def _hook_snapshots(self, tracemalloc: ModuleType) -> None:
        from .hooks.process.snapshot_hook import install

        install(tracemalloc)

    def _intercept(self, hooks: PostImportHook) -> None:
        from .calls.interception import Interception

        # Before the session opens: a program imports functions by name before it runs a loop.
        self._interception = Interception()
        self._interception.install(hooks)

    def _hook_spans(self, sdk: ModuleType) -> None:
        from .tracing.spans import install_span_processor

        install_span_processor(sdk, self._open_session)

    def _why_no_session(self) -> str:
        from .hooks.runtime import why_no_session

        if not self._observes_forks:
            # A child would go on with its parent's probe, and Python would warn of the probe's threads.
            return "forks cannot be observed"
        return why_no_session()

    def _open_session(self) -> ProbeSession | None:
        if self._session is None and not self._broken:
            try:
                if reason := self._why_no_session():
                    self._broken = True
                    hook.leave_out("loops", reason)
                    return None
                from .session import ProbeSession

                self._session = ProbeSession(self._order, self._interception)
                self._session.spend(self._entry_ns)
            except BaseException as exc:
                self._broken = True
                if hook.is_the_programs(exc):
                    raise
                # The run's folder is gone, or the disk is full; the target must not notice.
                if not self._marks.unable(f"the probe cannot record this process: {exc!r}"):
                    sys.stderr.write(f"harness: the probe cannot record this process: {exc!r}\n")
        return self._session

    def _forked(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.abandon()
        self._entry_ns = 0  # it was the parent's
        self._marks.forked()

    def _may_end_by_signal(self) -> Callable[[], None] | None:
        if self._observes_ends:
            return None
        from .hooks.process.exit_hook import before_own_signals

        self._observes_ends = True
        return before_own_signals(lambda: self._leave("", ()))

    def _leave(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if (session := self._session) is not None:
            session.leave()
        if name in ("execv", "execve"):
            self._marks.leaving()
        return launch_hook.with_entry_first(name, args)

    def _import_all(self) -> None:
        """Import what a session needs: the new user may not be able to read it, or it is outside the root."""
        if "asyncio.events" not in sys.modules:
            return
        from importlib import import_module

        from ..record.probe_config import ProbeConfig
        from . import code_paths, session
        from .hooks.process import late_import

        late_import.import_all()
        code_paths.libraries()
        for module in ProbeConfig.parse(self._order).features.values():
            import_module(f"{session.ROOT}.{module}")

    def _keep_at_hand(self) -> None:
        """Load what will be outside the new root."""
        self._import_all()
        if self._session is not None:
            from contextlib import suppress
            from ctypes import CDLL

            # The C library looks for it when a thread ends with the interpreter, and aborts without it.
            with suppress(OSError):
                CDLL("libgcc_s.so.1")

    def _admit(self, _name: str, args: tuple[Any, ...]) -> None:
        """Let the user that a worker changes to write into the record, before it does so."""
        if (uid := launch_hook.new_user(args)) is not None:
            from ..record.process import shared_folder

            shared_folder.admit(self._marks.folder, uid)
            self._import_all()
