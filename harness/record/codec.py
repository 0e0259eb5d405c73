"""Encodes an event as one line of JSON, and decodes it.

A line is an object whose ``"e"`` names the class. So that versions can differ, unknown fields are ignored,
missing ones take their default, and an unknown kind of event decodes to None. A line that is not JSON, or
whose values have another shape, raises `ValueError`.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from functools import cache

from .value import Value, as_dict, fields_of

if typing.TYPE_CHECKING:
    from .event import Event

# Counts, times and sizes have 64 bits. Larger numbers are damage, and may not fit into a float.
_LARGEST = 2**64
# An event of more characters has its texts cut to so many: a program may give a task a name of megabytes,
# which is written again and again. Others are not searched, as that takes as long as to encode them.
EVENT_CHARS, TEXT_CHARS = 64_000, 4_000


def encode(item: Event) -> str:
    """The event as one line, without its newline; in a very long one, texts are cut, except packed rows."""
    line = _line(item, _fields)
    return line if len(line) <= EVENT_CHARS or item._is_packed else _line(item, _bounded_fields)


def _line(item: Event, fields_of_part: Callable[[object], dict[str, object]]) -> str:
    fields = {"e": type(item).__name__, **fields_of_part(item)}
    return json.dumps(fields, default=fields_of_part, separators=(",", ":"))


def decode(line: str) -> Event | None:
    """The event of one line, or None for a kind that this version does not know.

    Raises:
        ValueError: The line is not an event.
    """
    try:
        raw = json.loads(line)
    except RecursionError as exc:
        raise ValueError("nested too deeply to be an event") from exc
    if not isinstance(raw, dict) or not isinstance(raw.get("e"), str):
        raise ValueError("not an event: an object with the key 'e' is expected")
    kind = kinds().get(raw["e"])
    if kind is None:
        return None
    try:
        return typing.cast("Event", _reader(kind)(raw))
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(f"{raw['e']}: {exc}") from exc


def _fields(item: object) -> dict[str, object]:
    if isinstance(item, Value):
        return as_dict(item)
    # Attributes of spans come from the target and may be any object; the record keeps their repr.
    return {"repr": repr(item)[:200]}


def _bounded_fields(item: object) -> dict[str, object]:
    return {name: _bounded(value) for name, value in _fields(item).items()}


def _bounded(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= TEXT_CHARS else f"{value[:TEXT_CHARS]}…"
    # Not the frames of a stack, whose names come from source code.
    if type(value) is tuple and value and isinstance(value[0], str):
        return tuple(map(_bounded, value))
    if isinstance(value, dict):
        return {_bounded(key): _bounded(part) for key, part in value.items()}
    return value


@cache
def kinds() -> dict[str, type[Event]]:
    """Every class of event, by its name."""
    # Imported here: a target only writes, and should not pay for classes that it never uses.
    from . import event

    found = [event.Event]
    for base in found:
        found += base.__subclasses__()
    return {kind.__name__: kind for kind in found if fields_of(kind)}


@cache
def _reader(hint: object) -> Callable[[typing.Any], object]:
    """The function that turns a JSON value into a value of the type *hint*."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Value):
        hints = typing.get_type_hints(hint)
        readers = {name: _reader(hints[name]) for name in fields_of(hint)}

        def value(raw: typing.Any) -> object:
            if not isinstance(raw, dict):
                raise TypeError(f"{hint.__name__} is not an object: {raw!r:.50}")
            return hint(**{k: read(raw[k]) for k, read in readers.items() if k in raw})

        return value
    if isinstance(hint, type) and issubclass(hint, tuple):  # a named tuple
        return _row_reader(hint)
    if origin is tuple:
        each = _reader(args[0])
        return lambda raw: tuple(map(each, _checked(raw, list)))
    if origin in (typing.Union, types.UnionType) and type(None) in args and len(args) == 2:
        inner = _reader(next(arg for arg in args if arg is not type(None)))
        return lambda raw: None if raw is None else inner(raw)
    if hint is int:
        return lambda raw: raw if type(raw) is int and -_LARGEST <= raw <= _LARGEST else _integer(raw)
    if hint is float:
        # JSON has no difference between 1 and 1.0, and Python's has numbers that are none.
        return lambda raw: raw if type(raw) in (int, float) and abs(raw) <= _LARGEST else _number(raw)
    if hint in (str, bool):
        return lambda raw: raw if type(raw) is hint else _checked(raw, hint)
    return lambda raw: raw


def _row_reader(hint: type[tuple[typing.Any, ...]]) -> Callable[[typing.Any], object]:
    kinds = tuple(typing.get_type_hints(hint).values())
    known = tuple(kind if kind in (int, str) else object for kind in kinds)

    def row(raw: typing.Any) -> object:
        made = hint(*_checked(raw, list))
        for value, kind in zip(made, known, strict=True):
            if value is not None and not isinstance(value, kind):
                _checked(value, kind)
        return made

    return row


def _integer(raw: typing.Any) -> int:
    number: int = _checked(raw, int)
    if abs(number) > _LARGEST:
        raise TypeError(f"expected an int of at most 64 bits, got {number!r:.50}")
    return number


def _number(raw: typing.Any) -> float:
    number: float = _checked(raw, float, int)
    if not abs(number) <= _LARGEST:  # so written, as NaN is neither less nor more
        raise TypeError(f"expected a finite number, got {number!r:.50}")
    return number


def _checked(raw: typing.Any, *kinds: typing.Any) -> typing.Any:
    if not isinstance(raw, kinds):
        raise TypeError(f"expected {kinds[0].__name__}, got {raw!r:.50}")
    return raw
