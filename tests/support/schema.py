"""Holds reports against their published JSON Schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"


def content(name: str) -> Any:
    """A schema in `docs/schemas`, as JSON."""
    return json.loads((PUBLISHED / name).read_text())


@cache
def published(name: str) -> jsonschema_rs.Draft202012Validator:
    """The validator of a schema in `docs/schemas`; a schema that is none is refused."""
    return jsonschema_rs.Draft202012Validator(content(name))


def check_report(document: object) -> None:
    """Fail unless *document*, the content of report.json, is as the schema says."""
    published("report.json").validate(document)
