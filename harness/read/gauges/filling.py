"""Finds, in a program's source, what adds to a collection whose name is known, and whether it is emptied."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from ...record.event import CollectionLevel, Frame
from ...stacks.source_text import source_text

_ADDING = frozenset(("append", "appendleft", "add", "insert", "extend", "extendleft", "update", "setdefault"))
_REMOVING = frozenset(("pop", "popitem", "popleft", "remove", "discard", "clear", "difference_update"))
# Functions that add to their first argument, or take from it.
_PUSHING = frozenset(("heappush", "insort", "insort_left", "insort_right"))
_POPPING = frozenset(("heappop", "heapreplace", "heappushpop"))
# What keeps all that it is given, unless the program takes it out.
_KEEPING = frozenset(("dict", "list", "set", "deque", "defaultdict", "OrderedDict", "Counter", "cache"))
_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Filling:
    """What the source says of a collection; nothing, if it cannot be read."""

    lines: tuple[Frame, ...] = ()  # that add to it, in the order of the file
    has_no_end: bool = False  # it keeps all it is given, and nothing in the source takes anything out


def filling(level: CollectionLevel) -> Filling:
    """Search the source in which the collection has its name.

    Of an object or a function whose collection has no known name, nothing is said if it adds to several. Of
    results that are cached, the line is that of the function.
    """
    text = source_text(level.file)
    try:
        tree = ast.parse(text) if text is not None else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        return Filling()
    keeps = level.kind in _KEEPING
    lines: tuple[Frame, ...] = ()
    if level.kind in ("cache", "lru_cache"):
        if (function := _find(tree, level.name)) is not None:
            lines = (Frame(level.file, function.lineno, level.name),)
        return Filling(lines, keeps and not _calls(tree, "cache_clear"))
    owner, name = level.name, level.name
    if level.holder == "attribute":
        owner, _, name = owner.rpartition(".")
    within = tree if level.holder == "global" else _find(tree, owner)
    if within is None:
        return Filling()
    prefix = "" if level.holder == "global" else owner
    uses = [
        use
        for use in _uses(within, prefix)
        if level.holder == "global" or use.of_object == (level.holder != "variable")
    ]
    if level.holder in ("global", "attribute"):
        adding = [use for use in uses if use.act is _Act.ADDS and use.name == name]
    else:
        adding = [use for use in uses if use.act is _Act.ADDS]
        if len(names := {use.name for use in adding}) != 1:
            return Filling()
        (name,) = names
    # Others may reach what is an attribute or global, under the same name.
    everywhere = uses if level.holder == "variable" else list(_uses(tree, ""))
    acts = Counter(use.act for use in everywhere if use.name == name)
    is_emptied = acts[_Act.TAKES] > 0 or acts[_Act.SETS] > 1
    lines = tuple(dict.fromkeys(Frame(level.file, use.line, use.function or "<module>") for use in adding))
    return Filling(lines, bool(lines) and keeps and not is_emptied)


class _Act(Enum):
    """What a place does with a collection."""

    ADDS = auto()
    TAKES = auto()
    SETS = auto()  # binds the name to a collection: the first time it is made, then it is replaced


class _Use:
    """A place that uses what has this name."""

    def __init__(self, node: ast.expr, line: int, function: str, act: _Act) -> None:
        self.of_object = isinstance(node, ast.Attribute)
        self.name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        self.line, self.function, self.act = line, function, act


def _find(tree: ast.AST, name: str) -> _Definition | None:
    """The class or function with that qualified name."""
    at: ast.AST | None = tree
    for part in name.replace(".<locals>", "").split("."):
        at = next((one for one, _ in _definitions(at, "") if one.name == part), None) if at else None
    return at if isinstance(at, _Definition) else None


def _definitions(within: ast.AST, prefix: str) -> Iterator[tuple[_Definition, str]]:
    """The classes and functions directly inside, also those in a branch, each with its qualified name."""
    for child in ast.iter_child_nodes(within):
        if isinstance(child, _Definition):
            yield child, f"{prefix}.{child.name}" if prefix else child.name
        else:
            yield from _definitions(child, prefix)


def _uses(within: ast.AST, function: str) -> Iterator[_Use]:
    for child in ast.iter_child_nodes(within):
        if isinstance(child, _Definition):
            yield from _uses(child, f"{function}.{child.name}" if function else child.name)
            continue
        line = getattr(child, "lineno", 0)
        for act, of in _acts(child):
            yield _Use(_outermost(of), line, function, act)
        yield from _uses(child, function)


def _acts(node: ast.AST) -> Iterator[tuple[_Act, ast.expr]]:
    """What a statement or call does with a collection."""
    match node:
        case ast.Assign(targets=targets):
            for target in targets:
                yield from _assigned(target)
        case ast.AnnAssign(target=target, value=ast.expr()):
            yield from _assigned(target)
        case ast.AugAssign(target=ast.Subscript(value=value)):
            yield _Act.ADDS, value
        case ast.AugAssign(target=ast.Name() | ast.Attribute() as target, op=ast.Add() | ast.BitOr()):
            yield _Act.ADDS, target
        case ast.AugAssign(target=ast.Name() | ast.Attribute() as target, op=ast.Sub() | ast.BitAnd()):
            yield _Act.TAKES, target
        case ast.Delete(targets=targets):
            yield from ((_Act.TAKES, target.value) for target in targets if isinstance(target, ast.Subscript))
        case ast.Call():
            yield from ((_Act.ADDS, one) for one in _called(node, _ADDING, _PUSHING))
            yield from ((_Act.TAKES, one) for one in _called(node, _REMOVING, _POPPING))


def _assigned(target: ast.expr) -> Iterator[tuple[_Act, ast.expr]]:
    match target:
        case ast.Subscript(value=value, slice=ast.Slice()):
            yield _Act.TAKES, value
        case ast.Subscript(value=value):
            yield _Act.ADDS, value
        case ast.Name() | ast.Attribute():
            yield _Act.SETS, target


def _called(call: ast.Call, methods: Iterable[str], functions: Iterable[str]) -> Iterator[ast.expr]:
    match call:
        case ast.Call(func=ast.Attribute(attr=called, value=value)) if called in methods:
            yield value
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]) if (
            called in functions
        ):
            yield first


def _calls(tree: ast.AST, method: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == method for node in ast.walk(tree))


def _outermost(expression: ast.expr) -> ast.expr:
    """The collection that holds the one of an item: of ``self.by_key[key]`` or ``by_key.setdefault(...)``."""
    while True:
        match expression:
            case (
                ast.Subscript(value=inner)
                | ast.Call(func=ast.Attribute(attr="setdefault" | "get", value=inner))
            ):
                expression = inner
            case _:
                return expression
