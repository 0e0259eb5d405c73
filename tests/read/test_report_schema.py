"""The JSON Schema of report.json."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from harness.commands.schema import schema
from harness.read.compare.comparison import comparison
from harness.read.compare.profile_diff import profile_diff
from harness.read.history import load
from harness.read.report import Report, as_json, build
from tests.read.conftest import Full
from tests.support.schema import PUBLISHED, check_report, content, published


def test_what_is_published_is_what_the_command_prints() -> None:
    """`harness schema report > docs/schemas/report.json`"""
    printed = CliRunner().invoke(schema, ["report"]).stdout

    assert (PUBLISHED / "report.json").read_text() == printed


def test_every_field_of_the_report_is_required_and_described_by_its_comment() -> None:
    """By its own name, with the unit in it."""
    made = content("report.json")

    assert made["required"] == list(made["properties"]) == [field.name for field in fields(Report)]
    block = made["$defs"]["Block"]
    assert block["properties"]["hint"] == {
        "type": "string",
        "description": "what usually helps, one sentence",
    }
    assert block["properties"]["fault"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert "descheduled" in made["$defs"]["Block"]["properties"]["cause"]["enum"]


def test_a_whole_report_and_a_comparison_are_valid(full: Full) -> None:
    """Every element of them."""
    made = full()
    document = made.document()
    history = load(made.folder)
    other = comparison(build(history), document, profile_diff(history, history))

    for one in (document, replace(document, difference=other)):
        published("report.json").validate(json.loads(json.dumps(as_json(one))))
    assert len(document.blocks) == 5


def wrong(valid: dict[str, Any]) -> list[dict[str, Any]]:
    """The report with one thing wrong each."""
    made = [copy.deepcopy(valid) for _ in range(5)]
    del made[0]["loop"]
    made[1]["blocks"][0]["held_ms"] = "301"
    made[2]["findings"][0]["level"] = "fatal"
    made[3]["schema"] = 2
    made[4]["blocks"][0]["stack"][0] = ["/srv/shop/main.py", 90, "<module>"]
    return made


def test_what_is_wrong_is_refused(full: Full) -> None:
    """A field that is missing, a figure as text, an unknown level, another version, a frame as a list."""
    valid = as_json(full().document())

    check_report(valid)
    for document in wrong(valid):
        with pytest.raises(jsonschema_rs.ValidationError):
            check_report(document)


def test_fields_of_a_later_version_are_allowed(full: Full) -> None:
    """Readers of today's reports take tomorrow's."""
    valid: dict[str, Any] = as_json(full().document())
    valid["blocks"][0]["colour"] = "red"

    check_report({**valid, "weather": "fine"})
