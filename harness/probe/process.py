"""The probe in one process: waits for a loop to run, and opens a `ProbeSession` then.

A process that never runs a loop pays for one small file. Whatever goes wrong in here is written to the
record, or counted, and never reaches the target. The imports at the top are what every Python process of the
target has to pay, so there are hardly any.
"""

from __future__ import annotations

import os
import sys

from ..record.clock import monotonic_ns
from .hooks.builtin_shim import BuiltinShim, hide_frame
from .hooks.import_hook import PostImportHook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import FrameType, ModuleType

    from .calls.interception import Interception
    from .session import ProbeSession


class _ForkIsFine:
    """A filter for the next warning of a fork with several threads; it goes when that has come.

    Python warns after the hooks have run (3.13), so the filter cannot be taken away by one.
    """

    def __init__(self, filters: list[object]) -> None:
        self._filters = filters
        self._entry = ("ignore", self, DeprecationWarning, None, 0)
        filters.insert(0, self._entry)

    def match(self, text: str) -> bool:
        """As a regular expression does, in whose place this stands."""
        if not text.startswith("This process (pid="):
            return False
        self.leave()
        return True

    def leave(self) -> None:
        """Filter no more."""
        self._filters[:] = [entry for entry in self._filters if entry is not self._entry]


class ProbedProcess:
    """The state of the probe in this process, through `fork`, `exec` and `os._exit`."""

    def __init__(self, order: str) -> None:
        """*order* is the text of the environment variable (`record/probe_config.py`)."""
        self._order = order
        self._session: ProbeSession | None = None
        self._interception: Interception | None = None
        self._broken = False
        self._filter: _ForkIsFine | None = None

    def enter(self) -> None:
        """Be there from now on."""
        self._leave_a_mark()
        hooks = PostImportHook()
        hooks.watch("asyncio.events", self._hook_loops)
        hooks.watch("asyncio.base_events", self._hook_tasks)
        hooks.watch("uvloop", self._hook_uvloop)
        hooks.watch("opentelemetry.sdk.trace", self._hook_spans)
        if "\ncalls=" in self._order:
            self._intercept(hooks)
        os.register_at_fork(after_in_child=self._forked)
        os.register_at_fork(before=self._before_fork)
        # These three end the program that runs here without a word to Python's own exit handlers.
        for name in ("_exit", "execv", "execve"):
            self._say_farewell_before(name)

    def _hook_loops(self, events: ModuleType) -> None:
        from .hooks import runtime
        from .hooks.loop_hook import subscribe
        from .hooks.signal_hook import install

        if reason := runtime.why_no_loop_hook(events):
            sys.stderr.write(f"harness: the probe cannot watch loops: {reason}\n")
            return
        subscribe(self._running)
        install(self._asked_to_end)

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        session = self._session
        if session is not None:
            session.asked_to_end(number, frame)

    def _running(self, loop: AbstractEventLoop | None) -> None:
        session = self._open_session() if loop is not None else self._session
        if session is not None:
            session.loop_changed(loop)

    def _hook_tasks(self, base_events: ModuleType) -> None:
        import warnings

        from .hooks.exception_hook import install_exception_handler, install_unawaited

        install_exception_handler(base_events.BaseEventLoop, lambda: self._session)
        install_unawaited(warnings, lambda: self._session)

    def _hook_uvloop(self, uvloop: ModuleType) -> None:
        from .hooks.exception_hook import install_exception_handler

        install_exception_handler(uvloop.Loop, lambda: self._session)

    def _intercept(self, hooks: PostImportHook) -> None:
        from .calls.interception import Interception

        # Now, not with the session: a program imports functions by name before it runs a loop.
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
                # The run's folder is gone, or full; the target must not notice.
                self._broken = True
                sys.stderr.write(f"harness: the probe cannot record this process: {exc!r}\n")
        return self._session

    def _before_fork(self) -> None:
        """Keep Python from warning of a fork with several threads, if the others are the probe's alone.

        As an error, or as a line on stderr, that would be news to the program. What the child needs is never
        locked by the probe's threads.
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
        self._leave_a_mark()

    def _say_farewell_before(self, name: str) -> None:
        own = getattr(os, name)

        def farewell(*args: object, **kwargs: object) -> None:
            session = self._session
            if session is not None:
                session.leave()
            try:
                own(*args, **kwargs)
            except BaseException as exc:
                hide_frame(exc)
                raise

        setattr(os, name, BuiltinShim(farewell, own, "os"))

    def _leave_a_mark(self) -> None:
        """A file named after this process: a report can tell "no loop ran" from "the probe never entered"."""
        folder = self._order.partition("\n")[0].removeprefix("folder=")
        try:
            with open(f"{folder}/processes/{os.getpid()}-{monotonic_ns():x}", "x") as file:
                file.write("\n".join(sys.orig_argv))
        except OSError:
            pass  # the run's folder is gone: there is nobody left to tell
