"""The JSON Schema of a scenario file, with what each key means, for editors."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from .. import scenario
from ..options.table import ScenarioTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ALIASES = {"place": "in", "json_": "json"}


def described() -> dict[str, Any]:
    """The schema; the text below a key in the source of its model is the key's description."""
    schema = scenario.schema()
    models = {model.__name__: model for model in _models(ScenarioTable)}
    for name, table in {schema["title"]: schema, **schema["$defs"]}.items():
        for key, made in table.get("properties", {}).items():
            meaning = _meaning(models[name], key)
            if meaning and "description" not in made:
                made["description"] = meaning
    return {"$schema": DIALECT, **schema}


def _models(base: type) -> Iterator[type]:
    model: type
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _meaning(model: type, key: str) -> str:
    """What is said of the key by the model, or by the one from which it inherits the key."""
    texts = (_meanings(each.__module__).get((each.__name__, key)) for each in model.__mro__)
    return next(filter(None, texts), "")


@cache
def _meanings(module: str) -> dict[tuple[str, str], str]:
    """By the class and the field, or the alias that the file has for it."""
    found = {}
    tree = ast.parse(inspect.getsource(sys.modules[module])) if module.startswith(_RECORD) else None
    for node in tree.body if tree else ():
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[node.name, _ALIASES.get(field.target.id, field.target.id)] = str(text.value.value)
    return found


_RECORD = scenario.__name__.rpartition(".")[0]
