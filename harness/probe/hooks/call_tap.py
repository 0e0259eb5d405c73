"""Shows the next few calls of some methods of one object, and is gone again.

Only for an object with which something is wrong already: nothing else pays for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType, FunctionType
from typing import Any
from weakref import ref

from .hook import Hook
from .replacement import Replacement

OnCall = Callable[[FrameType], object]


class CallTap:
    """Calls *on_call* with the frame of each caller, until it is closed; at most *calls* times."""

    def __init__(self, owner: Any, names: Sequence[str], on_call: OnCall, *, calls: int) -> None:
        """An object whose attributes cannot be replaced is left as it is; then nothing is seen."""
        self._hook = Hook("call taps")
        self._left = calls
        self._on_call = on_call
        if not self._hook.is_on or type(getattr(owner, "__dict__", None)) is not dict:
            return
        seen = self._hook.guarded(self._seen)
        for name in names:
            # As the class has it: a name that a proxy makes up is none of its methods.
            if callable(getattr(type(owner), name, None)):
                if not _is_private(owner, name):
                    Replacement(self._hook, owner, name, _tapped(getattr(owner, name), seen))
                    continue
                if (stored := vars(owner).get(name)) is not None:
                    tapped = _tapped(stored, seen)
                else:
                    tapped = _tapped_weakly(getattr(type(owner), name), ref(owner), seen)
                Replacement(self._hook, owner, name, tapped, weakly=True)

    def close(self) -> None:
        """Restore the methods; a second call has no effect."""
        self._hook.undo()

    def _seen(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left <= 0:
            self._hook.undo()
        self._on_call(frame)


def _is_private(owner: Any, name: str) -> bool:
    """Whether only other methods of *owner* call this one, so that it is alive then.

    A public one may be all that the program has of an object: ``loop.call_soon(event.set)``.
    """
    if not name.startswith("_") or not type(owner).__weakrefoffset__:
        return False
    return type(next(vars(base)[name] for base in type(owner).__mro__ if name in vars(base))) is FunctionType


def _tapped_weakly(
    own: Callable[..., Any], owner: Callable[[], Any], seen: Callable[..., object]
) -> Callable[..., Any]:
    def tapped(*args: Any, **kwargs: Any) -> Any:
        seen(sys._getframe(1))
        return own(owner(), *args, **kwargs)

    return tapped


def _tapped(own: Callable[..., Any], seen: Callable[..., object]) -> Callable[..., Any]:
    def tapped(*args: Any, **kwargs: Any) -> Any:
        seen(sys._getframe(1))
        return own(*args, **kwargs)

    return tapped
