"""The page about the console agrees with the console."""

from __future__ import annotations

import re
from pathlib import Path

from harness.console.protocol import registry
from harness.record.probe_config import PERMISSIONS

PAGE = (Path(__file__).parents[2] / "docs" / "console.md").read_text()


def test_every_command_stands_in_the_table() -> None:
    """The page lists the commands as `help` does: names, summaries and order."""
    table = PAGE.partition("## Commands")[2].partition("\n\nTables")[0]

    commands = [(command.name, command.summary) for command in registry.every_command()]
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE) == commands


def test_every_permission_stands_in_the_table() -> None:
    """The page lists exactly the permissions that exist."""
    table = PAGE.partition("| permission | allows |")[2].partition("\n\n")[0]

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == PERMISSIONS
