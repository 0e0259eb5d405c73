"""Observes the program's handlers for the signals that ask a process to end.

Each such handler is wrapped in an `_ObservedHandler`, which Python calls between two instructions of the main
thread. `signal.getsignal` still returns the program's own: both functions of the module behind `signal` are
replaced, and asyncio and uvloop use these.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module behind `signal`

from ..builtin_shim import BuiltinShim
from ..hook import Hook, leave_out
from ..replacement import Replacement
from ..runtime import why_no_signal_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]
    # Called before a handler; it may return what to call after it.
    Notify = Callable[[int, FrameType | None], Callable[[], object] | None]

# Sent by service managers, container runtimes and terminals. Other signals have no fixed meaning.
ENDING = (_signal.SIGTERM, _signal.SIGINT)
# The names of the modules of the harness, or of its private copy inside a target, begin so.
_OURS = f"{__name__.partition('.')[0]}."


def is_main_interpreter() -> bool:
    """Whether this is the process's main interpreter; to be called in its main thread."""
    action = _signal.getsignal(_signal.SIGURG)
    if action not in (_signal.SIG_DFL, _signal.SIG_IGN):
        return True
    try:
        _signal.signal(_signal.SIGURG, action)  # as it is
    except ValueError:  # only the main interpreter may
        return False
    return True


class _ObservedHandler:
    """A handler of the program, and a function that is called before it.

    As little as possible is done before: a second signal may be under way, and some programs end only if it
    comes late enough.
    """

    __slots__ = ("caught", "notify", "own")

    def __init__(self, own: Handler, notify: Notify, caught: Callable[[BaseException], bool]) -> None:
        self.own = own
        self.notify = notify
        self.caught = caught

    def __call__(self, number: int, frame: FrameType | None) -> object:
        after = None
        try:
            after = self.notify(number, frame)
        except BaseException as exc:
            if not self.caught(exc):
                raise
        # It may have interrupted the probe: the program is told which of its own frames called it, also after
        # an error, so no function of the probe is called for that.
        outside = frame
        while outside is not None and str(outside.f_globals.get("__name__")).startswith(_OURS):
            outside = outside.f_back
        try:
            return self.own(number, outside or frame)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise
        finally:
            try:
                if after is not None:
                    after()
            except BaseException as exc:
                if not self.caught(exc):
                    raise


def install(notify: Notify, on_default: Callable[[], Callable[[], object] | None]) -> None:
    """Call *notify* before each call of a handler for one of `ENDING` from now on; an error undoes this.

    *on_default* is called when the program gives such a signal its default action, which ends the process. It
    may return what undoes it: without this hook, a handler is told frames of the probe.
    """
    hook = Hook("signals")
    leave_out(hook.name, reason := why_no_signal_hook(_signal))
    if reason or not hook.is_on:
        return
    set_own, get_own = _signal.signal, _signal.getsignal

    undoings: list[Callable[[], object]] = []

    @hook.guarded
    def defaulted() -> None:
        if (undoing := on_default()) is not None:
            hook.when_undone(undoing)
            undoings.append(undoing)

    @hook.guarded
    def unobserved() -> None:
        # Nobody takes the frames of the probe from what this handler is told.
        while undoings:
            undoings.pop()()

    notify = hook.guarded(notify)
    ending, default = ENDING, _signal.SIG_DFL
    kind = _ObservedHandler  # at the end of the interpreter, modules lose their globals

    def signal(signalnum: int, handler: object, /) -> object:
        if signalnum in ending and isinstance(handler, int) and handler == default:
            defaulted()
        try:
            if (ours := observed(signalnum, handler)) is None:
                unobserved()
            before = set_own(signalnum, handler if ours is None else ours)
            return before.own if type(before) is kind else before
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    def getsignal(signalnum: int, /) -> object:
        try:
            now = get_own(signalnum)
            return now.own if type(now) is kind else now
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    def _observed(number: int, handler: object) -> object:
        # Python's own handler for SIGINT only raises KeyboardInterrupt.
        if number not in ENDING or not callable(handler) or handler is _signal.default_int_handler:
            return handler
        return _ObservedHandler(handler, notify, hook.caught)

    def take_back() -> None:
        try:
            for number in ENDING:
                if type(handler := get_own(number)) is _ObservedHandler:
                    set_own(number, handler.own)
        except ValueError:  # in another thread than the main one
            return  # the functions hide the wrapped handlers, which only call the program's
        functions.undo()

    observed = hook.guarded(_observed)
    hook.when_undone(take_back)
    functions = Hook(hook.name)
    Replacement(functions, _signal, "signal", BuiltinShim(signal, set_own, "_signal"))
    Replacement(functions, _signal, "getsignal", BuiltinShim(getsignal, get_own, "_signal"))
    for number in ENDING:
        before = get_own(number)
        if _observed(number, before) is not before:
            try:
                signal(number, before)
            except ValueError:  # asyncio is imported in another thread than the main one
                return
