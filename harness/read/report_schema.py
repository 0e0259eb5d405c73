"""The JSON Schema of `report.json`, made from the types of the report, so that the two cannot differ.

A comment behind a field in the source is its description. A later version may add fields, so unknown ones are
allowed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..record.event import Frame
from .report import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
# ``at_s: float  # since the run's start``
_COMMENTED = re.compile(r"^    (\w+): [^#\n]*#\s*(.+?)\s*$", re.MULTILINE)


def schema() -> dict[str, Any]:
    """The schema of the report of this version."""
    defined: dict[str, Any] = {}
    whole = _of(Report, defined)
    made = defined.pop(whole["$ref"].rpartition("/")[2])
    made["properties"]["schema"] = {"const": SCHEMA, "description": "The version of this form."}
    return {"$schema": DIALECT, "title": "report.json", **made, "$defs": dict(sorted(defined.items()))}


def _of(kind: Any, defined: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; what it refers to is added to *defined*."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [_of(one, defined) for one in arguments]}
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _of(arguments[0], defined)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], defined)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [one.value for one in kind]}
    if isinstance(kind, type) and issubclass(kind, tuple) and kind is not Frame:
        # Named tuples, of which there may be thousands, are arrays: see `report.plain`.
        hints = get_type_hints(kind)
        parts = [{"title": name, **_of(hints[name], defined)} for name in kind._fields]  # type: ignore[attr-defined]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
    return _object(kind, defined)


def _object(kind: Any, defined: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/$defs/{kind.__name__}"}
    if kind.__name__ in defined:
        return reference
    made: dict[str, Any] = {}
    defined[kind.__name__] = made
    hints = get_type_hints(kind)
    names = kind._fields if kind is Frame else [field.name for field in dataclasses.fields(kind)]
    comments = _comments(kind)
    properties = {
        name: _of(hints[name], defined) | ({"description": comments[name]} if name in comments else {})
        for name in names
    }
    made |= {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "properties": properties,
        "required": list(names),
    }
    return reference


def _comments(kind: type) -> dict[str, str]:
    try:
        return dict(_COMMENTED.findall(inspect.getsource(kind)))
    except (OSError, TypeError):  # an installation without sources
        return {}
