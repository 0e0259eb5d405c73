"""The probe in one process: waits for a loop to run, and opens a `Session` then.

A process that never runs a loop pays for one small file. Whatever goes wrong in here is written to the
record, or counted, and never reaches the target. The imports at the top are what every Python process of the
target has to pay, so there are hardly any.
"""

from __future__ import annotations

import os
import sys
import time

from .importing import AfterImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import ModuleType

    from .interception import Interception
    from .session import Session


class Process:
    """The state of the probe in this process, through `fork`, `exec` and `os._exit`."""

    def __init__(self, order: str) -> None:
        """*order* is the text of the environment variable (`record/order.py`)."""
        self._order = order
        self._session: Session | None = None
        self._interception: Interception | None = None
        self._broken = False

    def enter(self) -> None:
        """Be there from now on."""
        self._leave_a_mark()
        hooks = AfterImport()
        hooks.watch("asyncio.events", self._hook_loops)
        hooks.watch("asyncio.base_events", self._hook_tasks)
        hooks.watch("uvloop", self._hook_uvloop)
        hooks.watch("opentelemetry.sdk.trace", self._hook_spans)
        if "\ncalls=" in self._order:
            self._intercept(hooks)
        os.register_at_fork(after_in_child=self._forked)
        # These three end the program that runs here without a word to Python's own exit handlers.
        for name in ("_exit", "execv", "execve"):
            self._say_farewell_before(name)

    def _hook_loops(self, _events: ModuleType) -> None:
        from .running import listen

        listen(self._running)

    def _running(self, loop: AbstractEventLoop | None) -> None:
        session = self._open_session() if loop is not None else self._session
        if session is not None:
            session.running(loop)

    def _hook_tasks(self, base_events: ModuleType) -> None:
        import warnings

        from .hearing import hear_exception_handler, hear_unawaited

        hear_exception_handler(base_events.BaseEventLoop, lambda: self._session)
        hear_unawaited(warnings, lambda: self._session)

    def _hook_uvloop(self, uvloop: ModuleType) -> None:
        from .hearing import hear_exception_handler

        hear_exception_handler(uvloop.Loop, lambda: self._session)

    def _intercept(self, hooks: AfterImport) -> None:
        from .interception import Interception

        # Now, not with the session: a program imports functions by name before it runs a loop.
        self._interception = Interception()
        self._interception.install(hooks)

    def _hook_spans(self, sdk: ModuleType) -> None:
        from .spans import tell_of_spans

        tell_of_spans(sdk, self._open_session)

    def _open_session(self) -> Session | None:
        if self._session is None and not self._broken:
            try:
                from .session import Session

                self._session = Session(self._order, self._interception)
            except Exception as exc:
                # The run's folder is gone, or full; the target must not notice.
                self._broken = True
                sys.stderr.write(f"harness: the probe cannot record this process: {exc!r}\n")
        return self._session

    def _forked(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.abandon()
        self._leave_a_mark()

    def _say_farewell_before(self, name: str) -> None:
        own = getattr(os, name)

        def farewell(*args: object) -> None:
            session = self._session
            if session is not None:
                session.flush()
            own(*args)

        farewell.__name__ = farewell.__qualname__ = name
        farewell.__doc__ = own.__doc__
        setattr(os, name, farewell)

    def _leave_a_mark(self) -> None:
        """A file named after this process: a report can tell "no loop ran" from "the probe never entered"."""
        folder = self._order.partition("\n")[0].removeprefix("folder=")
        try:
            with open(f"{folder}/processes/{os.getpid()}-{time.monotonic_ns():x}", "x") as file:
                file.write("\n".join(sys.orig_argv))
        except OSError:
            pass  # the run's folder is gone: there is nobody left to tell
