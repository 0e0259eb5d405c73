"""Where asyncio finds a selector's `select`: taken for as long as a loop is watched, then given back.

CPython has no short cut to an attribute that hides a method of its object's class: to find it takes some
30 ns of every turn. So while epoll's own is replaced, the loop has a twin of its selector, which is the same
but for one thing: its `select` lies in a slot, where it is found at once.
"""

from __future__ import annotations

import selectors
from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Any, Self

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

    def __delattr__(self, name: str) -> None:
        """Who takes a `select` of theirs out of the other one finds its own there again."""
        if name == "select":
            _place(self, None)
        else:
            super().__delattr__(name)


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
        # What asyncio would call now, and, if that is not the selector's own, what lies in its place.
        self.own: Any = selector.select
        self._below = _placed(selector)
        self._loop = loop
        self._select: Any = None

    @property
    def kind(self) -> Any:
        """The class of the selector."""
        return _Epoll if type(self.selector) is _SlottedSelector else type(self.selector)

    @property
    def is_epolls_own(self) -> bool:
        """Whether the selector is epoll's, and nobody has replaced its `select`."""
        return type(self.selector) is _Epoll and self._below is None

    def take(self, select: Any) -> None:
        """Have asyncio call this function instead, from the next turn on."""
        # A class that computes its selector would not take another.
        if self.is_epolls_own and not hasattr(type(self._loop), "_selector"):
            self.selector = _SlottedSelector(self.selector)
            object.__setattr__(self._loop, "_selector", self.selector)
        self._select, select._seat = select, self
        _place(self.selector, select)

    def leave(self) -> None:
        """Give the place back as it was; from any thread."""
        ours, self._select = self._select, None
        # Whoever replaced it after us keeps theirs.
        if ours is None or _placed(self.selector) is not ours:
            return
        below = self._below
        # Another watch that stood below us may have left meanwhile.
        while (seat := getattr(below, "_seat", None)) is not None and seat._select is not below:
            below = seat._below
        _place(self.selector, below)
        # Nor is a selector of the program's own taken out of the loop.
        is_there = getattr(self._loop, "_selector", None) is self.selector
        if below is None and is_there and type(self.selector) is _SlottedSelector:
            object.__setattr__(self._loop, "_selector", self.selector.stands_for)


def _placed(selector: Any) -> Any:
    """What lies in the place of the selector's own `select`; `None` if nothing does."""
    if type(selector) is not _SlottedSelector:
        return vars(selector).get("select")
    return None if getattr(selector.select, "__func__", None) is _Epoll.select else selector.select


def _place(selector: Any, select: Any) -> None:
    """Put it there; `None`: the selector's own."""
    if type(selector) is _SlottedSelector:
        # Bound to the other one: to itself, it would be garbage that only the collector finds.
        selector.select = select or _Epoll.select.__get__(selector.stands_for)
    # Not by `setattr` and `delattr`: a class may give them a meaning of its own, as a mock does.
    elif select is None:
        del vars(selector)["select"]
    else:
        vars(selector)["select"] = select
