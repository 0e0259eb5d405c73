"""The JSON Schema of a scenario file, with what each key means, for editors."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from .. import scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def described() -> dict[str, Any]:
    """The schema; the text below a key in the source of its model is the key's description."""
    schema = scenario.schema()
    meanings = _meanings()
    for name, table in {schema["title"]: schema, **schema["$defs"]}.items():
        for key, made in table.get("properties", {}).items():
            meaning = meanings.get((name, key)) or _common(meanings, key)
            if meaning and "description" not in made:
                made["description"] = meaning
    return {"$schema": DIALECT, **schema}


def _meanings() -> dict[tuple[str, str], str]:
    """By the class and the field, or the alias that the file has for it."""
    found = {}
    for node in ast.parse(inspect.getsource(scenario)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[node.name, _ALIASES.get(field.target.id, field.target.id)] = str(text.value.value)
    return found


_ALIASES = {"place": "in"}


def _common(meanings: dict[tuple[str, str], str], key: str) -> str:
    """Of the keys that several models inherit: those of a load and of a fault."""
    return meanings.get(("_Load", key)) or meanings.get(("PlannedFault", key), "")
