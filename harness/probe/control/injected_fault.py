"""One fault in force: the function that it replaces, and what it does to a call.

The replacement misbehaves first and then calls the function. It carries the name, file and
first line of the original, so a stack taken while it blocks reads as if that line itself blocked: the place
that the scenario names is the place that must be found.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import random
import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.fault.fault import Fault
from ...record.observation import FaultFired, Observation
from . import active_fault


class InjectedFault:
    """A fault in this process, and the number of calls that it hit; it can be planted once.

    Raises:
        LookupError, TypeError: As `FaultKind.prepare`.
    """

    def __init__(self, fault: Fault, seed: int, write: Callable[[Observation], object]) -> None:
        self.fault = fault
        self.fired = 0
        self._act = fault.effect.prepare(lambda place: _find(place)[2])
        self._dice = random.Random(seed)
        self._write = write
        self._planted = False
        self._put_back: Callable[[], None] = lambda: None

    def plant(self) -> None:
        """Replace the function.

        Raises:
            LookupError: The program has nothing with that name.
            TypeError: The object with that name is not a Python function.
        """
        owner, name, own = _find(self.fault.place)
        function = own.__func__ if isinstance(own, (staticmethod, classmethod)) else own
        if not isinstance(function, FunctionType):
            raise TypeError(f"{self.fault.place} is a {type(own).__name__}, not a Python function")
        misbehaving: Any = _misbehaving(function, self._happen)
        if isinstance(own, (staticmethod, classmethod)):
            misbehaving = type(own)(misbehaving)
        setattr(owner, name, misbehaving)

        def put_back() -> None:
            # If other code has replaced ours since, its replacement stays.
            if vars(owner).get(name) is misbehaving:
                setattr(owner, name, own)

        self._put_back = put_back
        self._planted = True

    def undo(self) -> None:
        """Restore the function; a replacement that is still called only calls it."""
        self._planted = False
        self._put_back()

    def _happen(self) -> None:
        fault = self.fault
        if not self._planted or (fault.limit is not None and self.fired >= fault.limit):
            return
        if self._dice.random() >= fault.probability:
            return
        self.fired += 1
        self._write(FaultFired(at_ns=monotonic_ns(), id=fault.id))
        ident = threading.get_ident()
        active_fault.begin(ident, fault.id)
        try:
            self._act()
        finally:
            active_fault.end(ident)


def _find(place: str) -> tuple[Any, str, Any]:
    """The owner of the object that ``module:qualname`` names, its name there, and the raw attribute."""
    module_name, _, path = place.partition(":")
    if (module := sys.modules.get(module_name)) is None:
        try:
            module = importlib.import_module(module_name)
        except ImportError as exc:
            raise LookupError(f"{place}: the program has no module {module_name} ({exc})") from exc
    owner: Any = module
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part, None)
    if owner is None or not hasattr(owner, name):
        raise LookupError(f"{place}: {module_name} has no {path}")
    # Not `getattr`: a static or class method must be restored as it was.
    return owner, name, vars(owner).get(name, getattr(owner, name))


def _misbehaving(function: FunctionType, happen: Callable[[], None]) -> FunctionType:
    wrapper: Any
    if inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            happen()
            return await function(*args, **kwargs)

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            happen()
            return function(*args, **kwargs)

    functools.update_wrapper(wrapper, function)
    wrapper.__code__ = _disguised(wrapper.__code__, function.__code__)
    return wrapper  # type: ignore[no-any-return]


def _disguised(code: CodeType, as_: CodeType) -> CodeType:
    """*code* under the name, file and first line of *as_*, every instruction on that line."""
    # One entry of the line table covers up to 8 code units: kind 13 (no columns), line delta 0 (PEP 626).
    full, rest = divmod(len(code.co_code) // 2, 8)
    table = bytes((0x80 | 13 << 3 | 7, 0)) * full
    if rest:
        table += bytes((0x80 | 13 << 3 | rest - 1, 0))
    return code.replace(
        co_name=as_.co_name,
        co_qualname=as_.co_qualname,
        co_filename=as_.co_filename,
        co_firstlineno=as_.co_firstlineno,
        co_linetable=table,
    )
