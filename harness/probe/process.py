"""The probe in one process: waits for a loop to run, and opens a `ProbeSession` then.

A process that never runs a loop pays for one small file. Errors in here are recorded or counted, and never
reach the target. Every Python process of the target pays for the imports at the top, so they are few.
"""

from __future__ import annotations

import os
import sys

from .hooks import launch_hook
from .hooks.builtin_shim import BuiltinShim, hide_frame
from .hooks.framework_hook import watch_frameworks
from .hooks.import_hook import PostImportHook
from .process_marks import ProcessMarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import FrameType, ModuleType

    from .calls.interception import Interception
    from .session import ProbeSession


class _ForkIsFine:
    """Suppresses the next warning about a fork with several threads, then removes itself.

    Python warns after the fork hooks have run (3.13), so a hook cannot remove the filter.
    """

    def __init__(self, filters: list[object]) -> None:
        self._filters = filters
        self._entry = ("ignore", self, DeprecationWarning, None, 0)
        filters.insert(0, self._entry)

    def match(self, text: str) -> bool:
        """Duck-types `re.Pattern.match`, for `warnings.filters`."""
        if not text.startswith("This process (pid="):
            return False
        self.leave()
        return True

    def leave(self) -> None:
        """Remove the filter."""
        self._filters[:] = [entry for entry in self._filters if entry is not self._entry]


class ProbedProcess:
    """The state of the probe in this process, through `fork`, `exec` and `os._exit`."""

    def __init__(self, order: str, entered: str) -> None:
        """Mark the process.

        Args:
            order: The text of the environment variable; see `record/probe_config.py`.
            entered: How the probe came in; see `record/process/mark.py`.
        """
        self._order = order
        self._marks = ProcessMarks(order, entered)
        self._session: ProbeSession | None = None
        self._interception: Interception | None = None
        self._broken = False
        self._filter: _ForkIsFine | None = None

    def enter(self) -> None:
        """Wait for asyncio, uvloop and OpenTelemetry to be imported, and for the process to fork or end."""
        hooks = PostImportHook()
        hooks.watch("asyncio.events", self._hook_loops)
        hooks.watch("asyncio.base_events", self._hook_tasks)
        hooks.watch("asyncio.taskgroups", self._hook_groups)
        hooks.watch("uvloop", self._hook_uvloop)
        hooks.watch("opentelemetry.sdk.trace", self._hook_spans)
        watch_frameworks(hooks, self._marks.framework)
        if "\ncalls=" in self._order:
            self._intercept(hooks)
        os.register_at_fork(before=self._before_fork, after_in_child=self._forked)
        # These three end the program without running Python's exit handlers.
        for name in ("_exit", "execv", "execve"):
            self._flush_before(name)
        if os.geteuid() == 0:
            for name in ("setuid", "seteuid", "setreuid", "setresuid"):
                self._admit_before(name)

    def _hook_loops(self, events: ModuleType) -> None:
        from .hooks import runtime
        from .hooks.loop_hook import subscribe
        from .hooks.signal_hook import install

        if reason := runtime.why_no_loop_hook(events):
            sys.stderr.write(f"harness: the probe cannot watch loops: {reason}\n")
            self._marks.unable(reason)
            return
        subscribe(self._loop_changed)
        install(self._shutdown_requested)

    def _shutdown_requested(self, number: int, frame: FrameType | None) -> None:
        if (session := self._session) is not None:
            session.shutdown_requested(number, frame)

    def _loop_changed(self, loop: AbstractEventLoop | None) -> None:
        session = self._open_session() if loop is not None else self._session
        if session is not None:
            session.loop_changed(loop)

    def _hook_tasks(self, base_events: ModuleType) -> None:
        import warnings

        from .hooks.exception_hook import install_exception_handler, install_unawaited

        install_exception_handler(base_events.BaseEventLoop, lambda: self._session)
        install_unawaited(warnings, lambda: self._session)

    def _hook_groups(self, taskgroups: ModuleType) -> None:
        from .hooks.group_hook import install

        def failed(exc: BaseException) -> None:
            if (session := self._session) is not None:
                session.failed("groups", exc)

        install(taskgroups, failed)

    def _hook_uvloop(self, uvloop: ModuleType) -> None:
        from .hooks.exception_hook import install_exception_handler

        install_exception_handler(uvloop.Loop, lambda: self._session)

    def _intercept(self, hooks: PostImportHook) -> None:
        from .calls.interception import Interception

        # Before the session opens: a program imports functions by name before it runs a loop.
        self._interception = Interception()
        self._interception.install(hooks)

    def _hook_spans(self, sdk: ModuleType) -> None:
        from .tracing.spans import install_span_processor

        install_span_processor(sdk, self._open_session)

    def _open_session(self) -> ProbeSession | None:
        if self._session is None and not self._broken:
            try:
                from .session import ProbeSession

                self._session = ProbeSession(self._order, self._interception)
            except Exception as exc:
                # The run's folder is gone, or the disk is full; the target must not notice.
                self._broken = True
                self._marks.unable(f"it cannot write its record: {exc}")
                sys.stderr.write(f"harness: the probe cannot record this process: {exc!r}\n")
        return self._session

    def _before_fork(self) -> None:
        """Suppress Python's warning about a fork with several threads if all the others are the probe's.

        The warning, as an error or a line on stderr, would change what the program does. The probe's threads
        hold no lock that the child needs.
        """
        session, warnings = self._session, sys.modules.get("warnings")
        if session is None or warnings is None:
            return
        from .hooks.runtime import warns_about_fork

        if not warns_about_fork():
            return
        if self._filter is not None:
            self._filter.leave()
        try:
            if session.is_single_threaded():
                self._filter = _ForkIsFine(warnings.filters)
        except Exception as exc:
            session.failed("fork", exc)

    def _forked(self) -> None:
        if self._filter is not None:
            self._filter.leave()
        session, self._session = self._session, None
        if session is not None:
            session.abandon()
        self._marks.forked()

    def _flush_before(self, name: str) -> None:
        own = getattr(os, name)

        def flushing(*args: object, **kwargs: object) -> None:
            if (session := self._session) is not None:
                session.leave()
            try:
                args = launch_hook.with_entry_first(name, args)
            except Exception:  # noqa: S110  # the program must not notice
                pass
            try:
                own(*args, **kwargs)
            except BaseException as exc:
                hide_frame(exc)
                raise

        setattr(os, name, BuiltinShim(flushing, own, "os"))

    def _import_all(self) -> None:
        """Import what a session needs: the new user may not be able to read it."""
        if "asyncio.events" not in sys.modules:
            return
        from importlib import import_module

        from ..record.probe_config import ProbeConfig
        from . import code_paths, session

        code_paths.libraries()
        for module in ProbeConfig.parse(self._order).features.values():
            import_module(f"{session.ROOT}.{module}")

    def _admit_before(self, name: str) -> None:
        """Let the user that a worker changes to write into the record, before it does so."""
        own = getattr(os, name)

        def admitting(*args: object, **kwargs: object) -> None:
            try:
                if (uid := launch_hook.new_user(args)) is not None:
                    from ..record.process import shared_folder

                    shared_folder.admit(self._marks.folder, uid)
                    self._import_all()
            except Exception:  # noqa: S110  # the program must not notice
                pass
            try:
                own(*args, **kwargs)
            except BaseException as exc:
                hide_frame(exc)
                raise

        setattr(os, name, BuiltinShim(admitting, own, "os"))
