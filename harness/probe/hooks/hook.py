"""Keeps the probe's errors away from the program.

Whatever the program calls without knowing it, a replaced function, a callback or a handler, belongs to a
`Hook`. An error in it undoes the hook, is named in the record, and goes no further: the program continues as
if the probe were not there. Calls that happen rarely go through `Hook.guarded`. Functions for which a further
call would cost too much keep the probe's part in a ``try`` of their own, whose handler asks `Hook.caught`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module behind `signal`
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType
    from typing import Any, Protocol

    class TroubleListener(Protocol):
        """Records what goes wrong in the probe of this process. Called in any thread."""

        def hook_failed(self, where: str, error: str) -> None:
            """Called when the hook *where* has raised; *error* is the exception's class and text."""

        def left_out(self, part: str, reason: str) -> None:
            """Called when *part* cannot work in this process."""


# Failures of one hook after which it is not installed again, such as for the next loop.
MOST_FAILURES = 3
# A stack that the program has exhausted is no fault of the hook; a hook that exhausts it each time is one.
MOST_RECURSIONS = 20
# What is kept for a listener that comes later.
KEPT = 50

# The package that holds `probe`: the harness itself, or its private name inside a target.
_ROOT = (__package__ or "").partition(".")[0]


class Hook:
    """A place where the program calls the probe, until it is undone."""

    __slots__ = ("__weakref__", "_recursions", "_undoings", "is_on", "name")

    def __init__(self, name: str) -> None:
        """*name* is that of the part in the record. A hook that failed too often is off from the start."""
        self.name = name
        self.is_on = _troubles.count_of(name) < MOST_FAILURES
        self._undoings: list[Callable[[], object]] = []
        self._recursions = 0

    def when_undone(self, undoing: Callable[[], object]) -> None:
        """Call *undoing* when the hook is undone, the latest first."""
        self._undoings.append(undoing)

    def join(self, chain: list[Any], item: object) -> None:
        """Append *item* to a list of Python's, until the hook is undone."""
        chain.append(item)
        self._undoings.append(lambda: chain.remove(item) if item in chain else None)

    def undo(self) -> None:
        """Take everything back; a second call has no effect."""
        self.is_on = False
        while self._undoings:
            undoing = self._undoings.pop()
            try:
                undoing()
            except BaseException as exc:
                if is_the_programs(exc):
                    raise
                _troubles.failed(self.name, exc)

    def guarded(self, observe: Callable[..., Any]) -> Callable[..., Any]:
        """A function that calls *observe* while the hook is on, and returns `None` after an error."""
        caught = self.caught

        def observed(*args: Any, **kwargs: Any) -> Any:
            try:
                if self.is_on:
                    return observe(*args, **kwargs)
            except BaseException as exc:
                try:
                    is_ours = caught(exc)
                except RecursionError:  # the program has exhausted its stack, and there is no room for a call
                    is_ours = isinstance(exc, RecursionError)
                if not is_ours:
                    raise
            return None

        return observed

    def caught(
        self,
        exc: BaseException,
        *,
        _passed_on: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit),
        _any: type[BaseException] = BaseException,
    ) -> bool:
        """Undo the hook after *exc*; false if that is the program's own, to be raised again.

        Usable when the stack or the memory is exhausted, and while the interpreter takes its modules apart:
        the further parameters keep what would be gone then.
        """
        try:
            if is_the_programs(exc):
                hide_frames(exc)
                return False
            self._recursions += isinstance(exc, RecursionError)
            if not isinstance(exc, RecursionError) or self._recursions >= MOST_RECURSIONS:
                self.undo()
            _troubles.failed(self.name, exc)
        except _passed_on:
            raise
        except _any:  # nothing more can be done
            pass
        return True


def listen(listener: TroubleListener) -> None:
    """Tell *listener* all that went wrong until now, and what will, until `stop_listening`."""
    _troubles.listen(listener)


def stop_listening(listener: TroubleListener) -> None:
    """Tell *listener* nothing more."""
    if listener in _troubles.listeners:
        _troubles.listeners.remove(listener)


def failed(part: str, error: BaseException) -> None:
    """Note what *part* of the probe raised, for who listens now and for who will."""
    _troubles.failed(part, error)


def leave_out(part: str, reason: str) -> None:
    """Note that *part* of the probe cannot work in this process, once; nothing for an empty *reason*."""
    if reason and (part, reason) not in _troubles.left_out:
        _troubles.leave_out(part, reason)


def missing_parts() -> list[tuple[str, str]]:
    """The parts that do not work in this process, each with the reason; for the console."""
    return [*_troubles.left_out, *_troubles.first.items()]


def is_the_programs(exc: BaseException) -> bool:
    """Whether the program raised *exc* while the probe's code ran: in a signal's handler, or from a thread.

    The probe itself raises neither KeyboardInterrupt nor SystemExit.
    """
    if isinstance(exc, (KeyboardInterrupt, SystemExit)):
        return True
    handlers = set(_handlers())
    step, innermost = exc.__traceback__, None
    while step is not None:
        if step.tb_frame.f_code in handlers and not _is_ours(step.tb_frame):
            return True
        step, innermost = step.tb_next, step
    if innermost is None or not _is_ours(innermost.tb_frame):
        return False
    # The probe's own frame raised it, but it has no such class: `PyThreadState_SetAsyncExc`.
    origin = type(exc).__module__.partition(".")[0]
    return origin not in sys.stdlib_module_names and origin not in {"builtins", _ROOT}


def hide_frames(exc: BaseException) -> None:
    """Remove the probe's frames from the traceback of an exception that is about to be raised again."""
    steps: list[TracebackType] = []
    step = exc.__traceback__
    while step is not None:
        if not _is_ours(step.tb_frame):
            steps.append(step)
        step = step.tb_next
    for before, after in zip(steps, [*steps[1:], None], strict=True):
        before.tb_next = after
    exc.__traceback__ = steps[0] if steps else None


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == _ROOT


def _handlers() -> Iterator[CodeType]:
    """The code of the program's handlers of signals."""
    for number in range(1, _signal.NSIG):
        try:
            handler: Any = _signal.getsignal(number)
        except ValueError:
            continue
        while handler is not None and not isinstance(handler, int):
            code = getattr(handler, "__code__", None)
            if code is not None:
                yield code
                break
            # A bound method, a partial, or an object that can be called.
            inner = getattr(handler, "__func__", None) or getattr(handler, "func", None)
            if inner is None:
                inner = vars(type(handler)).get("__call__")
                if not hasattr(inner, "__code__"):
                    break  # in C
            handler = inner


class _Troubles:
    """What went wrong in this process so far."""

    def __init__(self) -> None:
        self.listeners: list[TroubleListener] = []
        self.left_out: list[tuple[str, str]] = []
        self.first: dict[str, str] = {}  # the first error of each hook
        self.counts: dict[str, int] = {}

    def count_of(self, name: str) -> int:
        return self.counts.get(name, 0)

    def listen(self, listener: TroubleListener) -> None:
        self.listeners.append(listener)
        for part, reason in tuple(self.left_out):
            listener.left_out(part, reason)
        for name, error in tuple(self.first.items()):
            listener.hook_failed(name, error)

    def failed(self, name: str, error: BaseException) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        # Not the exception: its traceback, and that of its context, would keep the program's objects alive.
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        if name not in self.first and len(self.first) < KEPT:
            self.first[name] = text
        for listener in tuple(self.listeners):
            listener.hook_failed(name, text)

    def leave_out(self, part: str, reason: str) -> None:
        if len(self.left_out) < KEPT:
            self.left_out.append((part, reason))
            for listener in tuple(self.listeners):
                listener.left_out(part, reason)


_troubles = _Troubles()
