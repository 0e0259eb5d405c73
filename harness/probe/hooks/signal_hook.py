"""Hears when a handler of the program is called for a signal that asks the process to end.

Python calls handlers between any two instructions of the main thread, and so calls ours. A handler is kept
inside an `_ObservedHandler`, which calls it. `signal.getsignal` still returns the program's: both functions
behind the module `signal` are replaced, and asyncio and uvloop go through them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is made of

from .builtin_shim import BuiltinShim, hide_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]

# What a service manager, a container's runtime and a terminal send. The others mean what a program likes.
ENDING = (_signal.SIGTERM, _signal.SIGINT)


class _ObservedHandler:
    """A handler of the program, and who else is told; it has no part in what the handler does."""

    __slots__ = ("own", "tell")

    def __init__(self, own: Handler, tell: Handler) -> None:
        self.own = own
        self.tell = tell

    def __call__(self, number: int, frame: FrameType | None) -> object:
        self.tell(number, frame)
        try:
            return self.own(number, frame)
        except BaseException as exc:
            hide_frame(exc)
            raise


def install(tell: Handler) -> None:
    """Call *tell* before each handler that is called for one of `ENDING` from now on; it must not raise."""
    set_own, get_own = _signal.signal, _signal.getsignal

    def signal(signalnum: int, handler: object, /) -> object:
        try:
            return _bare(set_own(signalnum, _heard(signalnum, handler)))
        except BaseException as exc:
            hide_frame(exc)
            raise

    def getsignal(signalnum: int, /) -> object:
        try:
            return _bare(get_own(signalnum))
        except BaseException as exc:
            hide_frame(exc)
            raise

    def _heard(number: int, handler: object) -> object:
        # Not Python's own for SIGINT: what follows from KeyboardInterrupt is no handler's doing.
        if number not in ENDING or not callable(handler) or handler is _signal.default_int_handler:
            return handler
        return _ObservedHandler(handler, tell)

    _signal.signal = BuiltinShim(signal, set_own, "_signal")
    _signal.getsignal = BuiltinShim(getsignal, get_own, "_signal")
    for number in ENDING:
        before = get_own(number)
        if _heard(number, before) is not before:
            try:
                signal(number, before)
            except ValueError:  # asyncio is imported in another thread than the main one
                return


def _bare(handler: object) -> object:
    return handler.own if type(handler) is _ObservedHandler else handler
