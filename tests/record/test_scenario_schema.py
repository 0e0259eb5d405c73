"""The JSON Schema of a scenario file, as an editor uses it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.schema import schema
from tests.support.schema import PUBLISHED, content, published

ROOT = Path(__file__).parents[2]


def test_what_is_published_is_what_the_command_prints() -> None:
    """`harness schema scenario > docs/schemas/scenario.json`"""
    printed = CliRunner().invoke(schema, ["scenario"]).stdout

    assert (PUBLISHED / "scenario.json").read_text() == printed


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda file: file.name)
def test_the_scenarios_here_are_valid(file: Path) -> None:
    """As they are in their files."""
    published("scenario.json").validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        '[load]\nsender = "http"',
        '[target]\nkind = "mayhem"\ncolour = "red"',
        '[target]\nkind = "mayhem"\n[expect]\n"blocks.count" = "few"',
        '[target]\nkind = "program"\ncommand = []',
    ],
)
def test_what_is_wrong_is_refused(text: str) -> None:
    """No target, an unknown key, a limit that is none, an empty command."""
    assert not published("scenario.json").is_valid(tomllib.loads(text))


def test_every_key_is_described_but_the_one_that_chooses_the_kind() -> None:
    """An editor shows it."""
    made = content("scenario.json")
    tables = {"Scenario": made, **made["$defs"]}
    bare = {
        key
        for table in tables.values()
        for key, meaning in table.get("properties", {}).items()
        if "description" not in meaning
    }

    assert bare == {"kind", "sender", "shape"}
    assert made["$defs"]["BlockSleep"]["properties"]["in"]["description"].startswith(
        "The function that misbehaves"
    )
