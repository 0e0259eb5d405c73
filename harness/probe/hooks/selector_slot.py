"""Replaces a selector's `select` while its loop is watched.

CPython is slow to look up an attribute that hides a method of the object's class: some 30 ns per turn. So
where epoll's own `select` is replaced, the loop gets a twin of its selector, whose `select` is in a slot and
is found at once.
"""

from __future__ import annotations

import selectors
from asyncio import AbstractEventLoop, BaseEventLoop
from typing import TYPE_CHECKING, Any, Self

from .hook import Hook
from .replacement import ABSENT, Replacement
from .runtime import why_no_epoll_timing

if TYPE_CHECKING:
    from selectors import EpollSelector as _Epoll
else:
    # Without epoll, an abstract class: no selector is exactly of this type, so none gets a twin.
    _Epoll = getattr(selectors, "EpollSelector", selectors.BaseSelector)


class _SlottedSelector(_Epoll):
    """A twin that shares all attributes with its original, and with them the registered files."""

    __slots__ = ("select", "stands_for")
    select: Any
    stands_for: _Epoll
    __module__, __qualname__ = _Epoll.__module__, _Epoll.__qualname__

    def __init__(self, selector: _Epoll) -> None:
        # The class's own `__init__` would open another epoll.
        self.__dict__ = selector.__dict__
        self.stands_for = selector
        self.reset()

    def __delattr__(self, name: str) -> None:
        """Removing `select` uncovers the selector's own, as it does on the original."""
        if name == "select":
            self.reset()
        else:
            super().__delattr__(name)

    def reset(self) -> None:
        """Put the selector's own `select` into the slot."""
        # Bound to the original: bound to the twin, it would be garbage that only the collector frees.
        self.select = _Epoll.select.__get__(self.stands_for)


_SlottedSelector.__name__ = _Epoll.__name__


class SelectorSlot:
    """The replaceable `select` of one loop's selector."""

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> Self | None:
        """The slot of *loop*; `None` if it does not wait in a selector with a replaceable `select`."""
        selector = getattr(loop, "_selector", None)
        is_replaceable = getattr(selector, "select", None) is not None and hasattr(selector, "__dict__")
        return cls(loop, selector) if is_replaceable and _runs_as_asyncios(loop) else None

    def __init__(self, loop: AbstractEventLoop, selector: Any) -> None:
        """The slot, before anything is replaced."""
        self.selector = selector
        self.own: Any = selector.select  # what asyncio would call now
        self._loop = loop
        # An error in `select` undoes it.
        self.hook = Hook("turns")
        self.hook.when_undone(self._give_back)
        self._replacement: _SelectReplacement | None = None

    @property
    def kind(self) -> Any:
        """The class of the selector."""
        return _Epoll if type(self.selector) is _SlottedSelector else type(self.selector)

    @property
    def is_epolls_own(self) -> bool:
        """Whether the selector is epoll's, its `select` is its own, and its parts are known."""
        is_own = type(self.selector) is _Epoll and "select" not in vars(self.selector)
        return is_own and not why_no_epoll_timing()

    def take(self, select: Any) -> None:
        """Have asyncio call *select* instead, from the next turn on."""
        # A loop class with a computed selector would not accept another one.
        if self.is_epolls_own and not hasattr(type(self._loop), "_selector"):
            self.selector = _SlottedSelector(self.selector)
            object.__setattr__(self._loop, "_selector", self.selector)
        self._replacement = _SelectReplacement(self.hook, self.selector, "select", select)

    def leave(self) -> None:
        """Restore `select`; from any thread."""
        self.hook.undo()

    def _give_back(self) -> None:
        replacement, self._replacement = self._replacement, None
        if replacement is None:
            return
        replacement.undo()
        # A selector that the program has set since stays in the loop.
        is_there = getattr(self._loop, "_selector", None) is self.selector
        if is_there and type(self.selector) is _SlottedSelector and replacement.stored() is ABSENT:
            object.__setattr__(self._loop, "_selector", self.selector.stands_for)


def _runs_as_asyncios(loop: AbstractEventLoop) -> bool:
    """Whether the loop's turns are asyncio's; Qt's loops have a selector, and ask it in another thread."""
    run: Any = next(
        (vars(cls)["run_forever"] for cls in type(loop).__mro__ if "run_forever" in vars(cls)), None
    )
    if run is vars(BaseEventLoop).get("run_forever"):
        return True
    names = getattr(getattr(run, "__code__", None), "co_names", None)
    # A method in C tells nothing; one in Python has to call asyncio's.
    return names is None or "run_forever" in names or "_run_once" in names


class _SelectReplacement(Replacement):
    """A replaced `select`: the slot of a `_SlottedSelector`, an attribute of any other selector."""

    def stored(self) -> Any:
        if type(self.owner) is not _SlottedSelector:
            return super().stored()
        select = self.owner.select
        return ABSENT if getattr(select, "__func__", None) is _Epoll.select else select

    def store(self, value: Any) -> None:
        if type(self.owner) is not _SlottedSelector:
            super().store(value)
        elif value is ABSENT:
            self.owner.reset()
        else:
            self.owner.select = value
