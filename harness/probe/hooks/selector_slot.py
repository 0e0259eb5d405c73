"""Where asyncio finds a selector's `select`: taken for as long as a loop is watched, then given back.

CPython has no short cut to an attribute that hides a method of its object's class: to find it takes some
30 ns of every turn. So while epoll's own is replaced, the loop has a twin of its selector, which is the same
but for one thing: its `select` lies in a slot, where it is found at once.
"""

from __future__ import annotations

import selectors
from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Any, Self

from .replacement import ABSENT, Replacement
from .runtime import why_no_epoll_timing

if TYPE_CHECKING:
    from selectors import EpollSelector as _Epoll
else:
    # Where there is no epoll, this is a class that no selector is of, and so none has a twin.
    _Epoll = getattr(selectors, "EpollSelector", selectors.BaseSelector)


class _SlottedSelector(_Epoll):
    """Shares all attributes with the selector that it stands for, and so the files that are waited for."""

    __slots__ = ("select", "stands_for")
    select: Any
    stands_for: _Epoll
    __module__, __qualname__ = _Epoll.__module__, _Epoll.__qualname__

    def __init__(self, selector: _Epoll) -> None:
        # Not the class's own `__init__`, which opens an epoll.
        self.__dict__ = selector.__dict__
        self.stands_for = selector
        self.reset()

    def __delattr__(self, name: str) -> None:
        """Removing `select` uncovers the selector's own, as it does on the other one."""
        if name == "select":
            self.reset()
        else:
            super().__delattr__(name)

    def reset(self) -> None:
        """Put the selector's own `select` into the slot."""
        # Bound to the other one: bound to itself, it would be garbage that only the collector frees.
        self.select = _Epoll.select.__get__(self.stands_for)


_SlottedSelector.__name__ = _Epoll.__name__


class SelectorSlot:
    """The place of `select` in one loop's selector."""

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> Self | None:
        """`None`: the loop has no selector in Python, or one whose `select` cannot be replaced."""
        selector = getattr(loop, "_selector", None)
        is_replaceable = getattr(selector, "select", None) is not None and hasattr(selector, "__dict__")
        return cls(loop, selector) if is_replaceable else None

    def __init__(self, loop: AbstractEventLoop, selector: Any) -> None:
        """Nothing is taken yet."""
        self.selector = selector
        self.own: Any = selector.select  # what asyncio would call now
        self._loop = loop
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
        """Have asyncio call this function instead, from the next turn on."""
        # A class that computes its selector would not take another.
        if self.is_epolls_own and not hasattr(type(self._loop), "_selector"):
            self.selector = _SlottedSelector(self.selector)
            object.__setattr__(self._loop, "_selector", self.selector)
        self._replacement = _SelectReplacement(self.selector, "select", select)

    def leave(self) -> None:
        """Give the place back as it was; from any thread."""
        replacement, self._replacement = self._replacement, None
        if replacement is None:
            return
        replacement.undo()
        # A selector that the program has set since stays in the loop.
        is_there = getattr(self._loop, "_selector", None) is self.selector
        if is_there and type(self.selector) is _SlottedSelector and replacement.stored() is ABSENT:
            object.__setattr__(self._loop, "_selector", self.selector.stands_for)


class _SelectReplacement(Replacement):
    """The replaced `select` of a selector: an attribute of most, the slot of a `_SlottedSelector`."""

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
