"""The faults that can be put into a Python file: small changes of one place each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.FloorDiv: "*", ast.Div: "*"}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of a file: the text from *start* to *end* (offsets in characters) becomes *to*."""

    file: str  # relative to the checkout
    line: int
    start: int
    end: int
    was: str
    to: str
    name: str = ""  # of a known fault

    def applied(self, text: str) -> str:
        """The file's *text* with the change.

        Raises:
            ValueError: The text is not the one that the change was made for.
        """
        if text[self.start : self.end] != self.was:
            raise ValueError(f"{self.file}:{self.line} has changed")
        return text[: self.start] + self.to + text[self.end :]

    def __str__(self) -> str:
        was, to = (" ".join(part.split())[:60] for part in (self.was, self.to))
        return f"{self.file}:{self.line}  {was!r} -> {to!r}" + (f"  [{self.name}]" if self.name else "")


def mutations(root: Path, file: str) -> list[Mutation]:
    """Every change that is made in *file*.

    Left out is what no behaviour depends on: docstrings, annotations, texts, names for people (`__repr__`,
    `__str__`), blocks for type checkers, and constants of a module, whose exact values are choices.
    """
    text = (root / file).read_text()
    return [*_Finder(file, text).found(ast.parse(text))]


class _Finder:
    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        # `ast` counts columns in bytes.
        self._bytes = [line.encode() for line in text.splitlines(keepends=True)]

    def found(self, node: ast.AST) -> Iterator[Mutation]:
        for child in self._children(node):
            yield from self._here(child)
            yield from self.found(child)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases", "keywords") and not isinstance(
                node, ast.Call
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not self._is_left_out(node, child):
                    yield child

    def _is_left_out(self, parent: ast.AST, child: ast.AST) -> bool:
        match child:
            case ast.Import() | ast.ImportFrom() | ast.JoinedStr() | ast.AnnAssign(value=None) | ast.Assert():
                return True
            case ast.FunctionDef(name="__repr__" | "__str__"):
                return True
            case ast.Expr(value=ast.Constant()):
                return True
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return True
            case ast.Assign() | ast.AnnAssign():
                return isinstance(parent, ast.Module)
        return False

    def _here(self, node: ast.AST) -> Iterator[Mutation]:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                yield from self._between(left, right, _COMPARISONS[type(op)])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                if not any(
                    isinstance(part, ast.Constant | ast.JoinedStr | ast.List | ast.Tuple)
                    and not _is_number(part)
                    for part in (left, right)
                ):
                    yield from self._between(left, right, _ARITHMETIC[type(op)])
            case ast.BoolOp(op=op, values=[first, second, *_]):
                yield from self._between(first, second, "or" if isinstance(op, ast.And) else "and")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._replaced(node, self._source(operand))
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                if not isinstance(test, ast.Compare | ast.UnaryOp):
                    yield self._replaced(test, f"(not ({self._source(test)}))")
            case ast.Constant(value=bool(value)):
                yield self._replaced(node, str(not value))
            case ast.Constant(value=int(value)) if value in (0, 1, 2):
                yield self._replaced(node, str(value + 1))
            case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield()):
                yield self._replaced(node, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign() | ast.Delete():
                yield self._replaced(node, "pass")
            case ast.Raise():
                yield self._replaced(node, "pass")
            case ast.Continue():
                yield self._replaced(node, "break")
            case ast.Break():
                yield self._replaced(node, "continue")
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield self._replaced(value, "None")

    def _between(self, left: ast.expr, right: ast.expr, to: str) -> Iterator[Mutation]:
        """The operator between two operands, without brackets around these."""
        start, end = self._offset(left, end=True), self._offset(right)
        was = self._text[start:end]
        core = was.strip(" ()\n")
        if core and "#" not in was and "\n" not in was:
            at = start + was.index(core)
            yield Mutation(self._file, left.lineno, at, at + len(core), core, to)

    def _replaced(self, node: ast.AST, to: str) -> Mutation:
        start, end = self._offset(node), self._offset(node, end=True)
        return Mutation(self._file, node.lineno, start, end, self._text[start:end], to)  # type: ignore[attr-defined]

    def _source(self, node: ast.AST) -> str:
        return self._text[self._offset(node) : self._offset(node, end=True)]

    def _offset(self, node: ast.AST, *, end: bool = False) -> int:
        line: int = node.end_lineno if end else node.lineno  # type: ignore[attr-defined]
        column: int = node.end_col_offset if end else node.col_offset  # type: ignore[attr-defined]
        return self._lines[line - 1] + len(self._bytes[line - 1][:column].decode())


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
