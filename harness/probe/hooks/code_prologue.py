"""A copy of a code object that first makes one call, and is the same in everything else.

The copy keeps name, file, lines, arguments, cells and flags, so a function that gets it by assignment to
`__code__` is the same function to its callers: a coroutine function stays one, closures keep their cells,
`super()` works. Instructions can be inserted at the beginning of the body, because all jumps are relative
since Python 3.11. How a call is compiled in this version is for `runtime.py` to say.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from inspect import CO_COROUTINE
from opcode import opmap
from types import CodeType

from .runtime import await_template, call_template

# What stands before the first RESUME: cells and free variables are set up, a generator is made.
_BEFORE = ("COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "POP_TOP", "EXTENDED_ARG")
_SETUP = {opmap.get(name) for name in _BEFORE}
_NAMES = ("RESUME", "CACHE", "LOAD_CONST", "EXTENDED_ARG")
_RESUME, _CACHE, _LOAD_CONST, _EXTENDED_ARG = (opmap.get(name, -1) for name in _NAMES)
# Kinds of entries in a line table: without columns, complete, without a line.
_NO_COLUMNS, _LONG, _NONE = 13, 14, 15
_UNITS_PER_ENTRY = 8
_EXTRA_STACK, _EXTRA_STACK_TO_AWAIT = 2, 4

Position = tuple[int | None, int | None, int | None, int | None]


def with_prologue(code: CodeType, call: Callable[[], object]) -> CodeType:
    """*code*, which first calls *call*; a generator or coroutine does so in its first step.

    What *call* raises leaves the body: no handler of the function's own covers the call. The call stands on
    the line of the function's first instruction.

    Raises:
        TypeError: Instructions cannot be inserted into this code, or in this version of Python.
    """
    return _with(code, call_template(), (call,), _EXTRA_STACK)


def with_awaited_prologue(code: CodeType, call: Callable[[], Awaitable[object]]) -> CodeType:
    """As `with_prologue`, for a coroutine function, which awaits what *call* returns.

    Raises:
        TypeError: As `with_prologue`, or it is no coroutine function.
    """
    if not code.co_flags & CO_COROUTINE:
        raise TypeError(f"{code.co_qualname} is no coroutine function (async def), which could await")
    return _with(code, await_template(), (call, None), _EXTRA_STACK_TO_AWAIT)


def _with(
    code: CodeType, template: list[tuple[int, int]], constants: tuple[object, ...], stack: int
) -> CodeType:
    at = _body(code)
    inserted = _filled(template, itertools.count(len(code.co_consts)))
    added = len(inserted) // 2
    positions: list[Position] = list(code.co_positions())
    line = positions[at - 1][0] or code.co_firstlineno
    return code.replace(
        co_code=code.co_code[: at * 2] + inserted + code.co_code[at * 2 :],
        co_consts=(*code.co_consts, *constants),
        co_stacksize=max(code.co_stacksize, stack),
        co_linetable=_line_table(
            [*positions[:at], *[(line, line, None, None)] * added, *positions[at:]], code.co_firstlineno
        ),
        co_exceptiontable=_shifted(code.co_exceptiontable, at, added),
    )


def _body(code: CodeType) -> int:
    """The index of the instruction, in units of two bytes, before which the call is inserted."""
    raw = code.co_code
    for index in range(len(raw) // 2):
        if raw[index * 2] == _RESUME:
            after = index + 1
            while raw[after * 2] == _CACHE:  # one since Python 3.15
                after += 1
            return after
        if raw[index * 2] not in _SETUP:
            break
    raise TypeError(f"{code.co_qualname} has code of an unknown kind")


def _filled(template: list[tuple[int, int]], constants: Iterator[int]) -> bytes:
    """The instructions, which load these constants in turn; no jump among them leads across a load."""
    made = bytearray()
    for opcode, argument in template:
        if opcode == _LOAD_CONST:
            constant = next(constants)
            for shift in (24, 16, 8):
                if constant >> shift:
                    made += bytes((_EXTENDED_ARG, constant >> shift & 0xFF))
            argument = constant & 0xFF
        made += bytes((opcode, argument))
    return bytes(made)


def _line_table(positions: list[Position], first_line: int) -> bytes:
    """The table of PEP 626 and PEP 657 for a position of each instruction."""
    table, before, index = bytearray(), first_line, 0
    while index < len(positions):
        here = positions[index]
        length = 1
        while length < _UNITS_PER_ENTRY and positions[index + length : index + length + 1] == [here]:
            length += 1
        index += length
        line, end_line, column, end_column = here
        if line is None:
            table.append(0x80 | _NONE << 3 | length - 1)
        elif end_line is None or column is None or end_column is None:
            table.append(0x80 | _NO_COLUMNS << 3 | length - 1)
            table += _signed(line - before)
        else:
            table.append(0x80 | _LONG << 3 | length - 1)
            table += _signed(line - before)
            for value in (end_line - line, column + 1, end_column + 1):
                table += _varint(value)
        before = before if line is None else line
    return bytes(table)


def _signed(value: int) -> bytes:
    return _varint(-value << 1 | 1 if value < 0 else value << 1)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value >= 64:
        made.append(0x40 | value & 0x3F)
        value >>= 6
    made.append(value)
    return bytes(made)


def _shifted(table: bytes, at: int, added: int) -> bytes:
    """The exception table, with *added* units inserted before unit *at*.

    They are in the ranges that the instruction before them is in, such as a generator's whole body, and not
    in those that begin at *at*.
    """
    made = bytearray()
    numbers = _numbers(table)
    for start, size, target, depth in zip(numbers, numbers, numbers, numbers, strict=True):
        end = start + size
        start += added if start >= at else 0
        end += added if end >= at else 0
        target += added if target >= at else 0
        for index, value in enumerate((start, end - start, target, depth)):
            part = _big_endian(value)
            made += bytes((part[0] | 0x80, *part[1:])) if index == 0 else part
    return bytes(made)


def _numbers(table: bytes) -> Iterator[int]:
    value = 0
    for byte in table:
        value = value << 6 | byte & 0x3F
        if not byte & 0x40:
            yield value
            value = 0


def _big_endian(value: int) -> bytes:
    parts = [value & 0x3F]
    while value := value >> 6:
        parts.append(value & 0x3F | 0x40)
    return bytes(reversed(parts))
