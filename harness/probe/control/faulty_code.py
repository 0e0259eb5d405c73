"""The code objects that faults have changed, each in every function that runs it.

A function is changed in place, so that whoever holds it meets the fault: a router, a partial, a bound method.
Each change starts from the original code, so faults in the same function can be healed in any order, and the
last one brings back the original object.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterable
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from ..hooks.code_prologue import with_awaited_prologue, with_prologue
from . import fault_site
from .fault_site import FaultSite


class PlantedCall(NamedTuple):
    """What a fault does with the calls of one function."""

    act: Callable[[], None]
    wait: Callable[[], Awaitable[object]] | None  # instead, of a fault that awaits something
    only: Callable[[FrameType], bool] | None  # the calls that are meant; `None`: all


class FaultHook:
    """What a changed function calls first: its faults, in the order of their injection."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: tuple[PlantedCall, ...] = ()

    def __call__(self) -> None:
        for act, _, only in self.calls:
            if only is None or _is_meant(only):
                act()

    def __reduce__(self) -> tuple[Any, ...]:
        # A program that pickles its functions by value sends this along to where no harness is.
        return (functools.partial, (bool,))


class AwaitedFaultHook:
    """What a changed coroutine function awaits first, if one of its faults awaits something."""

    __slots__ = ("_hook",)

    def __init__(self, hook: FaultHook) -> None:
        self._hook = hook

    async def __call__(self) -> None:
        for act, wait, only in self._hook.calls:
            if only is None or _is_meant(only):
                if wait is None:
                    act()
                else:
                    await wait()

    def __reduce__(self) -> tuple[Any, ...]:
        return (functools.partial, (asyncio.sleep, 0))


class FaultyCode:
    """One code object of the program, and what takes its place while faults are in force."""

    def __init__(
        self, original: CodeType, functions: Iterable[FunctionType], *, is_shared: bool = True
    ) -> None:
        self.original = original
        self.current = original
        self.hook = FaultHook()
        self.inner: dict[int, FaultyCode] = {}  # by the id of the original, which is a constant of this one
        self.is_shared = is_shared  # all functions that run the original are meant
        self.is_made_again = False  # functions around it may make more functions of this code
        self._functions = {id(one): one for one in functions}

    @property
    def is_changed(self) -> bool:
        return bool(self.hook.calls or self.inner)

    @property
    def is_in_use(self) -> bool:
        """Whether a function runs the current code."""
        return any(one.__code__ is self.current for one in self._functions.values())

    def add(self, functions: Iterable[FunctionType]) -> None:
        """Include functions that run this code."""
        self._functions.update({id(one): one for one in functions})

    def update(self) -> None:
        """Give every function the code that it should have now.

        Raises:
            TypeError: This code cannot be changed.
        """
        code = self.original
        if self.inner:
            code = code.replace(co_consts=tuple(map(self._constant, code.co_consts)))
        if any(call.wait is not None for call in self.hook.calls):
            code = with_awaited_prologue(code, AwaitedFaultHook(self.hook))
        elif self.hook.calls:
            code = with_prologue(code, self.hook)
        before, self.current = self.current, code
        if self.is_made_again:
            self.add(fault_site.holders(before))
        for function in self._functions.values():
            # Code that other tools have put there since stays. If it calls ours, that does nothing more.
            if function.__code__ is before:
                function.__code__ = code

    def _constant(self, constant: object) -> object:
        inner = self.inner.get(id(constant))
        return constant if inner is None else inner.current


class FaultyCodes:
    """All changed code objects of this process."""

    def __init__(self) -> None:
        # By the id of a code object, original or current; of a function, where it alone is changed.
        self._codes: dict[int, FaultyCode] = {}

    def plant(
        self,
        site: FaultSite,
        act: Callable[[], None],
        wait: Callable[[], Awaitable[object]] | None = None,
    ) -> Callable[[], None]:
        """Make calls of the site's functions call *act* first, or await *wait*; the result undoes that.

        Raises:
            TypeError: The code cannot be changed.
        """
        path = self._path(site)
        target = path[-1]
        call = PlantedCall(act, wait, site.only)
        target.hook.calls += (call,)
        for outer, inner in itertools.pairwise(path):
            outer.inner[id(inner.original)] = inner
            inner.is_made_again = True
        try:
            self._update(path)
            if len(path) == 1 and not target.is_in_use:
                raise TypeError(f"the code of {target.original.co_qualname} was changed by others meanwhile")
        except BaseException:
            self._remove(path, call)
            raise
        return functools.partial(self._remove, path, call)

    def _path(self, site: FaultSite) -> list[FaultyCode]:
        *outer, own = site.codes
        if not outer:
            own = site.functions[0].__code__  # a fault may have come or gone since the site was found
        path = [self._codes.get(id(code)) or FaultyCode(code, fault_site.holders(code)) for code in outer]
        target = self._codes.get(id(own)) or FaultyCode(own, (), is_shared=site.is_shared)
        target.add(site.functions)
        return [*path, target]

    def _remove(self, path: list[FaultyCode], call: PlantedCall) -> None:
        path[-1].hook.calls = tuple(one for one in path[-1].hook.calls if one is not call)
        for outer, inner in reversed(list(itertools.pairwise(path))):
            if not inner.is_changed:
                outer.inner.pop(id(inner.original), None)
        self._update(path)

    def _update(self, path: list[FaultyCode]) -> None:
        for each in reversed(path):
            self._codes = {key: one for key, one in self._codes.items() if one is not each}
            each.update()
            if each.is_changed:
                self._codes[id(each.current)] = each
                if each.is_shared:
                    self._codes[id(each.original)] = each


def _is_meant(only: Callable[[FrameType], bool]) -> bool:
    try:
        return only(sys._getframe(2))
    except Exception:  # of the program's own `__class__`, say
        return False
