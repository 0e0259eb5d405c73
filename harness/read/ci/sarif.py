"""Issues as SARIF 2.1.0, which GitHub's code scanning and editors show beside the code.

GitHub refuses a whole file in which a result has no place. So issues without one are notifications of the
run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import quote

from .issue import Issue
from .markdown import clipped
from .rule import RULES, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# GitHub shows 5,000 results, and takes 25,000.
RESULTS = 5_000
LETTERS = 4_000
FINGERPRINT = "asyncioHarness/v1"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run, or one comparison."""

    id: str
    category: str  # the same in each run of a scenario, so that a later one replaces its results
    succeeded: bool  # it could be judged, whatever was found
    status: int
    properties: Mapping[str, object]


def document(issues: Sequence[Issue], made: Invocation, *, default_file: str = "") -> str:
    """The log; issues without a place are shown at the top of *default_file*, if there is one."""
    rules = list(dict.fromkeys(issue.rule for issue in issues))
    placed = [issue for issue in issues if issue.file or default_file]
    unplaced = [issue for issue in issues if not (issue.file or default_file)]
    shown = sorted(placed, key=lambda issue: _LEVELS.index(issue.level))[:RESULTS]
    run = {
        "tool": {
            "driver": {
                "name": "asyncio-harness",
                "semanticVersion": version("asyncio-harness"),
                "rules": [_rule(name) for name in rules],
            }
        },
        "automationDetails": {"id": f"{made.category}/{made.id}"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": made.succeeded,
                "exitCode": made.status,
                "toolExecutionNotifications": [_notification(issue, rules) for issue in unplaced[:RESULTS]],
            }
        ],
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
        "results": [_result(issue, rules, default_file) for issue in shown],
        "properties": {**made.properties, "resultsLeftOut": len(placed) - len(shown)},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1) + "\n"


_LEVELS = ("error", "warning", "note")


def _rule(name: str) -> dict[str, object]:
    known = RULES.get(name, Rule(name, name, ""))
    see = f" See {known.page}." if known.page else ""
    return {
        "id": name,
        "name": "".join(word.capitalize() for word in known.title.replace("'", "").split()),
        "shortDescription": {"text": known.title},
        "fullDescription": {"text": known.help},
        "help": {"text": f"{known.help}{see}", "markdown": f"{known.help}{see}"},
        "properties": {"tags": ["asyncio"]},
    }


def _result(issue: Issue, rules: list[str], default_file: str) -> dict[str, object]:
    place: dict[str, object] = {
        "artifactLocation": {
            "uri": quote(issue.file or default_file, errors="surrogateescape"),
            "uriBaseId": "SRCROOT",
        },
        "region": {"startLine": (issue.line or 1) if issue.file else 1},
    }
    return {
        "ruleId": issue.rule,
        "ruleIndex": rules.index(issue.rule),
        "level": str(issue.level),
        "message": {"text": _text(issue)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {FINGERPRINT: issue.fingerprint},
    }


def _notification(issue: Issue, rules: list[str]) -> dict[str, object]:
    return {
        "associatedRule": {"id": issue.rule, "index": rules.index(issue.rule)},
        "level": str(issue.level),
        "message": {"text": _text(issue)},
    }


def _text(issue: Issue) -> str:
    # In SARIF, braces are placeholders, and brackets are links.
    plain = issue.message.replace("{", "{{").replace("}", "}}").replace("[", "\\[").replace("]", "\\]")
    return clipped(plain, LETTERS)
