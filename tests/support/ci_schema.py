"""The published schemas of what hosts of CI read."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import xmlschema

_FOLDER = Path(__file__).parents[1] / "read" / "ci" / "schemas"
JUNIT = xmlschema.XMLSchema(_FOLDER / "junit.xsd")
SARIF = jsonschema.Draft4Validator(
    json.loads((_FOLDER / "sarif-2.1.0-rtm.5.json").read_text()), format_checker=jsonschema.FormatChecker()
)
