"""Observes the program's handlers for the signals that ask a process to end.

Each such handler is wrapped in an `_ObservedHandler`, which Python calls between two instructions of the main
thread. `signal.getsignal` still returns the program's own: both functions of the module behind `signal` are
replaced, and asyncio and uvloop use these.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module behind `signal`

from .builtin_shim import BuiltinShim, hide_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]

# Sent by service managers, container runtimes and terminals. Other signals have no fixed meaning.
ENDING = (_signal.SIGTERM, _signal.SIGINT)


class _ObservedHandler:
    """A handler of the program, and a function that is called before it."""

    __slots__ = ("notify", "own")

    def __init__(self, own: Handler, notify: Handler) -> None:
        self.own = own
        self.notify = notify

    def __call__(self, number: int, frame: FrameType | None) -> object:
        self.notify(number, frame)
        try:
            return self.own(number, frame)
        except BaseException as exc:
            hide_frame(exc)
            raise


def install(notify: Handler) -> None:
    """Call *notify* before each call of a handler for one of `ENDING` from now on; it must not raise."""
    set_own, get_own = _signal.signal, _signal.getsignal

    def signal(signalnum: int, handler: object, /) -> object:
        try:
            return _own_handler(set_own(signalnum, _observed(signalnum, handler)))
        except BaseException as exc:
            hide_frame(exc)
            raise

    def getsignal(signalnum: int, /) -> object:
        try:
            return _own_handler(get_own(signalnum))
        except BaseException as exc:
            hide_frame(exc)
            raise

    def _observed(number: int, handler: object) -> object:
        # Python's own handler for SIGINT only raises KeyboardInterrupt.
        if number not in ENDING or not callable(handler) or handler is _signal.default_int_handler:
            return handler
        return _ObservedHandler(handler, notify)

    _signal.signal = BuiltinShim(signal, set_own, "_signal")
    _signal.getsignal = BuiltinShim(getsignal, get_own, "_signal")
    for number in ENDING:
        before = get_own(number)
        if _observed(number, before) is not before:
            try:
                signal(number, before)
            except ValueError:  # asyncio is imported in another thread than the main one
                return


def _own_handler(handler: object) -> object:
    return handler.own if type(handler) is _ObservedHandler else handler
