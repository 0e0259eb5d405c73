"""Families that grow by a file: rules, and formats of a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from harness.commands.report import report
from harness.read import renderers, rules
from harness.read.family import members
from harness.read.formats import RecordFormat, ReportFormat, names, of_file
from tests.read.conftest import Look, Record

RULE = """
from harness.read.finding import Finding

ORDER = 25


def findings(evidence):
    yield Finding("patience", "note", f"{len(evidence.blocks)} blocks in {evidence.duration_s:g} s")
"""

FORMAT = """
from harness.read.formats import {kind}


def render(shown):
    return f"{{type(shown).__name__}} of {{len(shown.blocks) if hasattr(shown, 'blocks') else 'events'}}\\n"


FORMAT = {kind}("short", extension="short.txt", render=render)
"""


Add = Callable[[ModuleType, str, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Adds a file to a family for the time of a test."""
    added = []

    def make(family: ModuleType, name: str, text: str) -> None:
        folder = tmp_path / family.__name__
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(family, "__path__", [*family.__path__, str(folder)])
        added.append((family, name))

    yield make
    for family, name in added:
        sys.modules.pop(f"{family.__name__}.{name}", None)
        vars(family).pop(name, None)


@pytest.fixture
def folder(record: Record, look: Look) -> Path:
    """The record of a run that blocked and whose loop could not be timed."""
    made = record()
    made.loop(mechanism="unseen")
    made.blocked(1, 300, [look("cart.py:41 total")])
    made.close()
    return made.folder.path


UNTIMED = (
    "no process was watched: process 4242: "
    "the turns of asyncio.unix_events._UnixSelectorEventLoop could not be timed"
)


def test_a_rule_is_one_file(add: Add, folder: Path) -> None:
    """What a new module of `rules/` finds is in the report; of what cost nothing, its order decides."""
    add(rules, "patience", RULE)

    printed = CliRunner().invoke(report, [str(folder), "--json"]).stdout
    found = [(one["rule"], one["message"]) for one in json.loads(printed)["findings"]]
    assert found == [
        ("processes", UNTIMED),
        ("blocks", "total held the loop 1 time for up to 300 ms (call)"),
        ("patience", "1 blocks in 1.3 s"),
    ]


def test_every_rule_has_an_order_of_its_own() -> None:
    """Two rules with one order would stand in the order of their names."""
    orders = [rule.ORDER for rule in members(rules)]
    assert len(set(orders)) == len(orders) >= 11


@pytest.mark.parametrize(
    ("kind", "text"), [("ReportFormat", "Report of 1\n"), ("RecordFormat", "History of events\n")]
)
def test_a_format_is_one_file(add: Add, folder: Path, tmp_path: Path, kind: str, text: str) -> None:
    """A new module of `renderers/` is a format by its name and its ending, and in the help."""
    add(renderers, "short", FORMAT.format(kind=kind))
    output = tmp_path / "a.short.txt"

    assert CliRunner().invoke(report, [str(folder), "--format", "short"]).stdout == text
    CliRunner().invoke(report, [str(folder), "--output", str(output)])
    assert output.read_text() == text
    assert "short" in CliRunner().invoke(report, ["--help"]).stdout


def test_every_renderer_is_a_format_with_its_name_and_an_ending_of_its_own() -> None:
    """The help names the formats by their files. What helps to render lives elsewhere."""
    formats = [module.FORMAT for module in members(renderers)]

    assert all(isinstance(one, ReportFormat | RecordFormat) for one in formats)
    assert tuple(one.name for one in formats) == names()
    assert len({one.extension for one in formats}) == len(formats) == 13


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("report.md", "md"),
        ("a.json", "json"),
        ("a.speedscope.json", "speedscope"),
        ("a.speedscope", "speedscope"),
        ("a.b.pb.gz", "pprof"),
        ("a.sarif", "sarif"),
        ("folder", ""),
    ],
)
def test_a_file_asks_for_a_format_by_its_ending(tmp_path: Path, file: str, name: str) -> None:
    """The longest ending that fits; one that is unknown is refused by its own name."""
    assert of_file(tmp_path / file) == name
