"""Fills texts with the values of a visit: ``{{name}}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def references(text: str) -> list[str]:
    """The values that a text names."""
    found: list[str] = _REFERENCE.findall(text)
    return found


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the values; a name that is not known stays, which the scenario has ruled out."""
    if "{{" not in text:
        return text
    return _REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)


def fill_all(value: object, values: Mapping[str, str]) -> object:
    """A value of JSON with all its texts filled."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, dict):
        return {name: fill_all(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [fill_all(part, values) for part in value]
    return value
