"""Faults that act inside the target, at a named place: a call that blocks the loop, a call that fails.

A fault replaces one function by name (``module:qualname``) with one that misbehaves first and then does what
the function does. The replacement carries the name, file and first line of what it replaces, so a stack
taken while it blocks reads as if that very line blocked: the place that the scenario names is the place that
must be found. Undoing puts the function itself back.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import FaultFired, Observation
from . import active_fault

# What there is, and what each asks for besides the place that it acts ``in``.
KINDS = {
    "block.sleep": "the call waits in `time.sleep` first: block_ms",
    "block.cpu": "the call computes first, for so much CPU time: block_ms",
    "call.fail": "the call raises instead of doing its work: raises (module:qualname), message",
}


@dataclass(slots=True)
class ActiveFault:
    """One fault in force."""

    id: str
    kind: str
    place: str  # "module:qualname"
    act: Callable[[], None]  # what happens before the function's own body; may raise
    probability: float
    limit: int | None  # at most so often
    fired: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)
    undo: Callable[[], None] = field(default=lambda: None, repr=False)


class FaultInjector:
    """The faults in force in this process."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._active: dict[str, ActiveFault] = {}
        self._lock = threading.Lock()

    def inject(self, spec: dict[str, Any]) -> None:
        """Put a fault in force: ``id``, ``kind``, ``in``, and what the kind asks for.

        Raises:
            ValueError: The kind is not known, or the id is in force already.
            LookupError: Nothing of that name is in the program.
            TypeError: What is there is not a Python function.
        """
        fault = ActiveFault(
            id=spec["id"],
            kind=spec["kind"],
            place=spec["in"],
            act=_act(spec),
            probability=spec.get("probability", 1.0),
            limit=spec.get("limit"),
            dice=random.Random(spec.get("seed", 0)),
        )
        with self._lock:
            if fault.id in self._active:
                raise ValueError(f"fault {fault.id} is in force already")
            self._replace(fault)
            self._active[fault.id] = fault

    def heal(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Undo the fault ``id``; the answer's ``fired`` says how often it took effect."""
        with self._lock:
            fault = self._active.pop(spec["id"], None)
            if fault is None:
                return {"fired": 0}
            fault.undo()
            return {"fired": fault.fired}

    def in_force(self, _spec: dict[str, Any]) -> dict[str, Any]:
        """The ``faults`` in force: ``id``, ``kind``, ``place``, ``fired``."""
        return {
            "faults": [
                {"id": fault.id, "kind": fault.kind, "place": fault.place, "fired": fault.fired}
                for fault in tuple(self._active.values())
            ]
        }

    def heal_all(self) -> None:
        """Undo every fault."""
        for fault_id in list(self._active):
            self.heal({"id": fault_id})

    def _replace(self, fault: ActiveFault) -> None:
        owner, name, own = _find(fault.place)
        function = own.__func__ if isinstance(own, (staticmethod, classmethod)) else own
        if not isinstance(function, FunctionType):
            raise TypeError(f"{fault.place} is a {type(own).__name__}, not a Python function")
        misbehaving: Any = _misbehaving(function, lambda: self._happen(fault))
        if isinstance(own, (staticmethod, classmethod)):
            misbehaving = type(own)(misbehaving)
        setattr(owner, name, misbehaving)

        def undo() -> None:
            # Somebody who replaced it after us keeps theirs.
            if vars(owner).get(name) is misbehaving:
                setattr(owner, name, own)

        fault.undo = undo

    def _happen(self, fault: ActiveFault) -> None:
        if fault.id not in self._active or (fault.limit is not None and fault.fired >= fault.limit):
            return
        if fault.dice.random() >= fault.probability:
            return
        fault.fired += 1
        self._write(FaultFired(at_ns=monotonic_ns(), id=fault.id))
        ident = threading.get_ident()
        active_fault.begin(ident, fault.id)
        try:
            fault.act()
        finally:
            active_fault.end(ident)


def _act(spec: dict[str, Any]) -> Callable[[], None]:
    kind = spec["kind"]
    if kind == "block.sleep":
        return functools.partial(time.sleep, spec["block_ms"] / 1e3)
    if kind == "block.cpu":
        return functools.partial(_burn, int(spec["block_ms"] * 1e6))
    if kind == "call.fail":
        return functools.partial(_fail, _exception(spec["raises"]), spec.get("message", ""))
    raise ValueError(f"no fault of the kind {kind!r}")


def _burn(for_ns: int) -> None:
    # Its own CPU time, so that a busy machine does not shorten the block.
    end_ns = time.thread_time_ns() + for_ns
    while time.thread_time_ns() < end_ns:
        pass


def _fail(kind: type[BaseException], message: str) -> None:
    raise kind(message)


def _exception(place: str) -> type[BaseException]:
    _, _, found = _find(place)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise TypeError(f"{place} is not an exception")
    return found


def _find(place: str) -> tuple[Any, str, Any]:
    """Who holds the thing named ``module:qualname``, under which name, and the thing as it stands there."""
    module_name, _, path = place.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
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
    # Not `getattr`: a static or class method must be put back as it was.
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
    misbehaving: FunctionType = wrapper
    return misbehaving


def _disguised(code: CodeType, as_: CodeType) -> CodeType:
    """*code* under the name, file and first line of *as_*, every instruction on that line."""
    # One entry of the line table covers up to 8 code units: kind 13 (no columns), line delta 0 (PEP 626).
    units = len(code.co_code) // 2
    full, rest = divmod(units, 8)
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
