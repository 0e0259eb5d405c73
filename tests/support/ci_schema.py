"""The published schemas of what hosts of CI read."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import xmlschema

_FOLDER = Path(__file__).parents[1] / "read" / "ci" / "schemas"
JUNIT = xmlschema.XMLSchema(_FOLDER / "junit.xsd")
# As published, the pattern of a language has a bracket too many, which strict regular expressions refuse.
_LANGUAGE = ("{2}]?$", "{2}?$")
SARIF = jsonschema_rs.Draft4Validator(
    json.loads((_FOLDER / "sarif-2.1.0-rtm.5.json").read_text().replace(*_LANGUAGE)), validate_formats=True
)
