"""The published schemas of what hosts of CI read, and the documented form of the one without."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import xmlschema

_FOLDER = Path(__file__).parents[1] / "read" / "ci" / "schemas"
JUNIT = xmlschema.XMLSchema(_FOLDER / "junit.xsd")
# As published, the pattern of a language has a bracket too many, which strict regular expressions refuse.
_LANGUAGE = ("{2}]?$", "{2}?$")
SARIF = jsonschema_rs.Draft4Validator(
    json.loads((_FOLDER / "sarif-2.1.0-rtm.5.json").read_text().replace(*_LANGUAGE)), validate_formats=True
)


def code_quality_issues(text: str) -> list[dict[str, Any]]:
    """The issues, each with what GitLab asks for: https://docs.gitlab.com/ci/testing/code_quality/."""
    issues: list[dict[str, Any]] = json.loads(text)
    assert not text.startswith("\ufeff")  # GitLab takes no byte order mark
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert re.fullmatch("[0-9a-f]{32}", issue["fingerprint"])
        assert not issue["location"]["path"].startswith(("./", "/"))
        assert issue["location"]["lines"]["begin"] >= 1
        assert "\n" not in issue["description"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    return issues
