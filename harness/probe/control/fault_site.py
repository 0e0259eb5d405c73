"""Finds the functions that a place ``module:qualified.name`` names, wherever the program holds them.

The name may lead to something else than the function: a decorator's wrapper, a route object, a partial. What
counts is the function that the source defines under that name; it is found in what the name leads to, or else
among all functions of the process. Nothing is imported.
"""

from __future__ import annotations

import functools
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from ..hooks.state import module_state, reference_state
from . import module_lookup
from .module_lookup import ModuleNotLoadedError

# A route or a command has its function within a few steps; an application object leads to everything.
_SEARCHED = 2000
_HINT = "name one of its methods, such as"
_MISSING: Any = object()


class FaultSite(NamedTuple):
    """Functions that run one code object, and the calls of them that are meant."""

    functions: tuple[FunctionType, ...]  # that exist now
    # The codes of the functions and classes around it, outermost first, then its own. Only with these can
    # functions be hit that will be made later.
    codes: tuple[CodeType, ...]
    only: Callable[[FrameType], bool] | None = None  # given the frame of a call; `None`: all are meant
    is_shared: bool = True  # every function that runs this code is meant, not those listed alone


def find(place: str) -> list[FaultSite]:
    """Every site of a place; several if the program has loaded the module twice.

    Raises:
        ModuleNotLoadedError: The program has not imported the module.
        LookupError: The module has nothing with that name.
        TypeError: The object with that name has no code in Python.
    """
    module, path = _split(place)
    sites: list[FaultSite] = []
    problem: Exception | None = None
    try:
        spaces = module_lookup.namespaces(module)
    except ModuleNotLoadedError:
        # A program may run a module without registering it: `runpy`, plug-in loaders.
        if sites := _everywhere(path, lambda function: function.__module__ == module):
            return sites
        raise
    # Asked before the look: an import that ends during it would pass for a module without the function.
    is_loading = any(map(module_state.is_loading, spaces))
    for space in spaces:
        try:
            sites += _in_namespace(place, path, space)
        except ModuleNotLoadedError:
            raise
        except (LookupError, TypeError) as exc:
            problem = problem or exc
    if not sites and problem is not None:
        if is_loading:
            raise ModuleNotLoadedError(module) from problem
        raise problem
    return sites


def find_object(place: str) -> Any:
    """The object of that name.

    Raises:
        ModuleNotLoadedError: The program has not imported its module.
        LookupError: The module has nothing with that name.
    """
    module, path = _split(place)
    for space in module_lookup.namespaces(module):
        owner: Any = space
        for name in path.split("."):
            owner = _member(owner, name)[0]
        if owner is not _MISSING:
            return owner
    raise LookupError(f"{place}: {module} has no {path}")


def _split(place: str) -> tuple[str, str]:
    module, _, path = place.partition(":")
    return module, path.replace(".<locals>", "")


def _in_namespace(place: str, path: str, space: dict[str, Any]) -> list[FaultSite]:
    owner, found, holder = space, _MISSING, None
    names = path.split(".")
    for count, name in enumerate(names):
        if count:
            owner = found
        found, holder = _member(owner, name)
        if found is _MISSING:
            outer = _python_function(owner) if count else None
            if outer is not None and (sites := _nested(outer, names[count:])):
                return sites
            defined = _everywhere(path, lambda function: function.__globals__ is space)
            if defined:
                return defined
            module = place.partition(":")[0]
            raise LookupError(f"{place}: {module} has no {path}")
    is_meant = functools.partial(_is_defined_as, path=path, space=space)
    chain = list(_unwrapped(found))
    function = next(filter(is_meant, chain), None) or next(filter(is_meant, _within(found)), None)
    if function is not None:
        return [FaultSite(_sharing(function), (function.__code__,))]
    if not chain:
        return [_called_object(place, found)]
    # Under another name than its own, such as a wrapper, which shares its code with all others of its kind.
    function = chain[-1]
    only = _only(place, found, owner, holder, function)
    return [FaultSite((function,), (function.__code__,), only, is_shared=False)]


def _only(
    place: str, found: object, owner: object, holder: object, function: FunctionType
) -> Callable[[FrameType], bool] | None:
    """Which calls are meant by a method that was not found where it is defined; `None`: all."""
    if isinstance(found, MethodType):
        return _first_argument(place, function, lambda this: this is found.__self__)
    if isinstance(owner, type) and holder is not owner:
        if isinstance(found, staticmethod):
            raise TypeError(f"{place} is inherited, and its calls tell nothing of the class; name its origin")
        kind: type = owner
        return _first_argument(
            place, function, lambda this: issubclass(this if isinstance(this, type) else type(this), kind)
        )
    is_method = isinstance(holder, type) and not isinstance(found, staticmethod)
    if is_method and not isinstance(owner, (type, dict)):
        return _first_argument(place, function, lambda this: this is owner or this is type(owner))
    return None


def _called_object(place: str, found: object) -> FaultSite:
    """An object with ``__call__``; its calls alone are meant, not those of its class."""
    if isinstance(found, type):
        raise TypeError(f"{place} is a class, not a Python function; {_HINT} {place}.__init__")
    kind = type(found)
    call, _ = _member(kind, "__call__")
    if (function := _python_function(call)) is None:
        raise TypeError(f"{place} is a {kind.__name__}, not a Python function: it has no code to be changed")
    only = _first_argument(place, function, lambda this: this is found)
    return FaultSite((function,), (function.__code__,), only, is_shared=False)


def _first_argument(
    place: str, function: FunctionType, accepts: Callable[[object], bool]
) -> Callable[[FrameType], bool]:
    code = function.__code__
    if not code.co_argcount:
        raise TypeError(f"{place} is inherited and takes no first argument; name it where it is defined")
    name = code.co_varnames[0]
    return lambda frame: accepts(frame.f_locals.get(name))


def _member(owner: Any, name: str) -> tuple[Any, object]:
    """The attribute as it is stored, and who has it: a class of the object's, or the object."""
    if isinstance(owner, dict):  # a module's namespace
        return owner.get(name, _MISSING), owner
    if isinstance(owner, ModuleType):
        return (module_state.namespace_of(owner) or {}).get(name, _MISSING), owner
    if not isinstance(owner, type):
        try:
            own = object.__getattribute__(owner, "__dict__")
        except AttributeError:
            own = {}
        if isinstance(own, dict) and name in own:
            return own[name], owner
    for kind in (owner if isinstance(owner, type) else type(owner)).__mro__:
        if name in vars(kind):
            return vars(kind)[name], kind
    return _MISSING, None


def _python_function(held: object) -> FunctionType | None:
    return next(iter(reversed(list(_unwrapped(held)))), None)


def _unwrapped(held: Any) -> Iterator[FunctionType]:
    """The functions that an object says it wraps, outermost first."""
    for _ in range(100):
        if isinstance(held, FunctionType):
            yield held
        if isinstance(held, (staticmethod, classmethod, MethodType)):
            held = held.__func__
        elif isinstance(held, property):
            held = held.fget
        elif isinstance(held, (functools.partial, functools.partialmethod, functools.cached_property)):
            held = held.func
        else:
            held = _wrapped(held)
            if held is _MISSING:
                return


def _wrapped(held: Any) -> Any:
    try:
        own = object.__getattribute__(held, "__dict__")
    except AttributeError:
        own = None
    if isinstance(own, dict) and "__wrapped__" in own:
        return own["__wrapped__"]
    # A proxy in C, such as wrapt's, has it as a member of its class.
    if not isinstance(held, type) and hasattr(type(held), "__wrapped__"):
        try:
            return held.__wrapped__
        except Exception:
            return _MISSING
    return _MISSING


def _is_defined_as(function: FunctionType, *, path: str, space: dict[str, Any]) -> bool:
    return function.__globals__ is space and _source_name(function.__code__) == path


def _source_name(code: CodeType) -> str:
    return code.co_qualname.replace(".<locals>", "")


def _within(held: object) -> Iterator[FunctionType]:
    """The functions that an object holds, nearest first: in closures, attributes and containers."""
    waiting, seen = deque([held]), {id(held)}
    while waiting and len(seen) < _SEARCHED:
        this = waiting.popleft()
        if isinstance(this, FunctionType):
            yield this
        for held_by in _holds(this):
            if id(held_by) not in seen:
                seen.add(id(held_by))
                waiting.append(held_by)


def _holds(this: object) -> Iterable[object]:
    if isinstance(this, FunctionType):  # not its module
        return (*(this.__closure__ or ()), this.__dict__, this.__defaults__, this.__kwdefaults__)
    if isinstance(this, CellType):
        try:
            return (this.cell_contents,)
        except ValueError:  # empty
            return ()
    # Neither do classes and modules belong to what the name leads to.
    return [
        one
        for one in reference_state.held_by(this, _SEARCHED)
        if gc.is_tracked(one) and not isinstance(one, (type, ModuleType))
    ]


def _everywhere(path: str, accepts: Callable[[FunctionType], bool]) -> list[FaultSite]:
    """The sites of all functions of the process that the source defines under that name."""
    by_code: dict[int, FunctionType] = {}
    for this in gc.get_objects():
        if type(this) is FunctionType and _source_name(this.__code__) == path and accepts(this):
            by_code.setdefault(id(this.__code__), this)
    return [FaultSite(_sharing(one), (one.__code__,)) for one in by_code.values()]


def _nested(outer: FunctionType, names: list[str]) -> list[FaultSite]:
    """The sites of what is defined inside a function; functions of it may exist already, or not yet."""
    found: list[tuple[CodeType, ...]] = [(outer.__code__,)]
    for name in names:
        found = [
            (*codes, constant)
            for codes in found
            for constant in codes[-1].co_consts
            if isinstance(constant, CodeType) and constant.co_name == name
        ]
    return [FaultSite(holders(codes[-1]), codes) for codes in found]


def _sharing(function: FunctionType) -> tuple[FunctionType, ...]:
    """It, and all functions that were copied from it or made by the same definition."""
    return tuple({id(one): one for one in (function, *holders(function.__code__))}.values())


def holders(code: CodeType) -> tuple[FunctionType, ...]:
    """All functions that run this code object."""
    return tuple(one for one in gc.get_referrers(code) if type(one) is FunctionType and one.__code__ is code)
