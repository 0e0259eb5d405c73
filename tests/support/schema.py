"""Holds reports against their published JSON Schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"
# Of a long list its ends are enough: a report may have thousands of stacks.
ENDS = 3


@cache
def published(name: str) -> Any:
    """The validator of a schema in `docs/schemas`, which itself is valid."""
    schema = json.loads((PUBLISHED / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_report(document: object) -> None:
    """Fail unless *document*, the content of report.json, is as the schema says."""
    published("report.json").validate(_shortened(document))


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        ends = value if len(value) <= 2 * ENDS else [*value[:ENDS], *value[-ENDS:]]
        # The elements of a short list may be the places of a tuple.
        return [_shortened(item) for item in (value if len(value) <= 16 else ends)]
    return value
