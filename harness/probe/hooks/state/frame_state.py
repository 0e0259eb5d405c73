"""Reads from a frame's instructions whether its function has begun, which function it calls, and which lazy
import it has begun.

Nothing of the program runs for that: names are looked up in namespaces, never by `getattr`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dis import opname
from itertools import islice
from sys import getrefcount
from types import CodeType, FrameType, ModuleType
from typing import Any

# Reading the positions of longer functions would take too long.
MOST_INSTRUCTIONS = 10_000
_UNKNOWN: Any = object()
# Of a copy of variables that only its frame has: the frame's, a variable's, and the argument's.
_OWN_REFERENCES = 3
# The flag of a function's code: the variables of a module or a class are no copy.
_OPTIMIZED = 1

_IMPORT_SYSTEM = "<frozen importlib"
# The instruction that every function begins with.
_RESUME = (lambda: None).__code__.co_code[0]
_NOT_LOADING = {"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "PUSH_NULL"}


def is_entering(frame: FrameType) -> bool:
    """Whether the function of *frame* has been called, but none of its code has run."""
    code, at = frame.f_code.co_code, frame.f_lasti
    # The argument distinguishes the begin (0) from the return of a ``yield`` or an ``await``.
    return at < 0 or (code[at] == _RESUME and not code[at + 1] & 3)


def called_by(frame: FrameType) -> Any:
    """What *frame* is calling, if the program names it by a variable and its attributes; else `None`."""
    code, index = frame.f_code, frame.f_lasti // 2
    if not 0 <= index < MOST_INSTRUCTIONS:
        return None
    # The expression of a call begins where that of its function begins, and is longer.
    places = list(islice(code.co_positions(), index + 1))
    line, _, column, end = places[index]
    found = _UNKNOWN
    if column is None or end is None:
        return None
    for at, (from_line, _, from_column, to) in enumerate(places):
        if (from_line, from_column) == (line, column) and to is not None and to < end:
            found = _load(frame, at, found)
    return None if found is _UNKNOWN else found


def lazily_imported(frame: FrameType | None, until: CodeType) -> str:
    """The name whose first use began the import in which *frame* is, as a lazy import does.

    "" for a statement or call that imports, and without an import inside the call of *until*. Where one
    import has led to another, the outermost counts.
    """
    name, inside = "", False
    while frame is not None and frame.f_code is not until:
        imports = frame.f_code.co_filename.startswith(_IMPORT_SYSTEM)
        if inside and not imports:
            name = name_used(frame)
        inside, frame = imports, frame.f_back
    return name


def name_used(frame: FrameType) -> str:
    """The global name or attribute that *frame* is looking up; "" if it does anything else."""
    at = frame.f_lasti // 2
    if at < 0:
        return ""
    name, argument = _instruction(frame.f_code, at)
    return frame.f_code.co_names[argument >> _NAMING[name]] if name in _NAMING else ""


def _instruction(code: CodeType, at: int) -> tuple[str, int]:
    """The name and the argument of the instruction with the index *at*."""
    raw = code.co_code
    name, argument = opname[raw[2 * at]], raw[2 * at + 1]
    if at and opname[raw[2 * at - 2]] == "EXTENDED_ARG":
        argument |= raw[2 * at - 1] << 8
    return name, argument


def _load(frame: FrameType, at: int, before: Any) -> Any:
    """The object that the instruction with the index *at* loads, if *before* is the one loaded last."""
    code = frame.f_code
    name, argument = _instruction(code, at)
    if name in _NOT_LOADING:
        return before
    if name in ("LOAD_ATTR", "LOAD_METHOD"):
        return _attribute(before, code.co_names[argument >> _NAMING[name]])
    if name in ("LOAD_GLOBAL", "LOAD_NAME"):
        wanted = code.co_names[argument >> _NAMING[name]]
        local = frame.f_locals if name == "LOAD_NAME" else {}
        return _first(wanted, [local, frame.f_globals, frame.f_builtins])
    if name.startswith(("LOAD_FAST", "LOAD_DEREF")) and name.count("_") < 3:
        variables = (*code.co_varnames, *(c for c in code.co_cellvars if c not in code.co_varnames))
        variables = (*variables, *code.co_freevars)
        return _variable(frame, variables[argument]) if argument < len(variables) else _UNKNOWN
    return _UNKNOWN


def _variable(frame: FrameType, name: str) -> Any:
    """The local variable *name* of a function's frame.

    Before Python 3.13 the frame keeps the copy of all that it has shown, and so keeps objects of the program
    alive. It is emptied, unless the program has it as well, by `locals()`.
    """
    shown = frame.f_locals
    found = shown.get(name, _UNKNOWN)
    if type(shown) is dict and frame.f_code.co_flags & _OPTIMIZED and getrefcount(shown) <= _OWN_REFERENCES:
        shown.clear()
    return found


def _attribute(owner: Any, name: str) -> Any:
    if owner is _UNKNOWN:
        return _UNKNOWN
    if isinstance(owner, ModuleType):
        return _first(name, [ModuleType.__getattribute__(owner, "__dict__")])
    mro = type.__getattribute__(owner if isinstance(owner, type) else type(owner), "__mro__")
    found = _first(name, [type.__getattribute__(base, "__dict__") for base in mro])
    if isinstance(found, staticmethod | classmethod):
        return found.__func__
    if found is _UNKNOWN and not isinstance(owner, type):
        try:
            return _first(name, [object.__getattribute__(owner, "__dict__")])
        except AttributeError:  # it has slots
            return _UNKNOWN
    return found


def _first(name: str, spaces: Sequence[Mapping[str, Any]]) -> Any:
    return next((space[name] for space in spaces if name in space), _UNKNOWN)


def _shift(code: CodeType) -> int:
    """By how many bits the number of an attribute's name is shifted in the argument of ``LOAD_ATTR``."""
    loads = (i for i in range(0, len(code.co_code), 2) if opname[code.co_code[i]] == "LOAD_ATTR")
    return [code.co_code[i + 1] for i in loads][1] - 1  # the second name has the number 1


# The instructions that look up a name, and by how many bits its number is shifted in their argument.
_NAMING = {
    "LOAD_ATTR": _shift((lambda thing: thing.first.second).__code__),
    "LOAD_FROM_DICT_OR_GLOBALS": 0,
    "LOAD_GLOBAL": 1,
    "LOAD_METHOD": 0,
    "LOAD_NAME": 0,
}
