"""Workflow commands, as GitHub's runner parses them."""

from __future__ import annotations

import re

import pytest

from harness.read.ci.issue import Issue
from harness.read.ci.workflow_command import commands
from harness.read.finding import Level

COMMAND = re.compile(r"::(error|warning|notice)(?: (?P<properties>[^:]*))?::(?P<message>.*)")


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """Kind, properties and message: `ActionCommand.TryParseV2` of actions/runner, with its unescaping."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    pairs = (pair.split("=", 1) for pair in found["properties"].split(","))
    properties = {name: value.replace("%2C", ",").replace("%3A", ":") for name, value in pairs}
    return (
        found[1],
        {name: unescaped(value) for name, value in properties.items()},
        unescaped(found["message"]),
    )


def unescaped(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def issue(
    level: Level = Level.WARNING,
    message: str = "m",
    *,
    title: str = "t",
    file: str = "",
    line: int | None = None,
) -> Issue:
    return Issue("blocks", level, title, message, file, line)


def test_it_names_file_line_title_and_message() -> None:
    """In the documented form."""
    assert list(
        commands([issue(Level.ERROR, "Held it.", title="Blocked", file="shop/cart.py", line=41)])
    ) == ["::error file=shop/cart.py,line=41,title=Blocked::Held it."]


@pytest.mark.parametrize("line", [None, 4])
def test_without_a_file_there_is_neither_file_nor_line(line: int | None) -> None:
    """A line alone would be taken as a line of the workflow."""
    assert list(commands([issue(Level.NOTE, line=line)])) == ["::notice title=t::m"]


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("a: b, c=d", "100 %: one, two\nthree"),
        ("50%3A", "%0A %25 ::error::"),
        ("日本 🐌", "\u2028é"),
    ],
)
def test_escapes_can_be_undone(title: str, message: str) -> None:
    """All of a message is in one line, and what reads like an escape is none."""
    (line,) = commands([issue(title=title, message=message, file="a:b,c%.py", line=1)])

    shown = message.replace("\u2028", "\\u2028")
    assert parsed(line) == ("warning", {"file": "a:b,c%.py", "line": "1", "title": title}, shown)
    assert len(line.splitlines()) == 1


def test_text_of_the_program_starts_no_command_of_its_own() -> None:
    """Neither by a line break nor by an escape sequence."""
    (line,) = commands([issue(message="x\r::stop-commands::y\x1b[31m", title="t\n::add-mask::z")])

    assert len(line.splitlines()) == 1
    assert line.startswith("::warning title=t\\n%3A%3Aadd-mask%3A%3Az::x\\r::stop")


def test_the_worst_come_first_and_ten_of_each_kind() -> None:
    """A last notice counts what is cut; it is one of the ten notices."""
    many = [
        issue(level, f"{level} {n}") for n in range(12) for level in (Level.NOTE, Level.WARNING, Level.ERROR)
    ]
    lines = [parsed(line) for line in commands(many)]

    kinds = [kind for kind, _, _ in lines]
    assert kinds == ["error"] * 10 + ["warning"] * 10 + ["notice"] * 10
    assert [message for _, _, message in lines[:3]] == ["error 0", "error 1", "error 2"]
    assert lines[-1][2].startswith(
        "2 errors, 2 warnings and 3 notices not shown: GitHub shows 10 of each kind"
    )


@pytest.mark.parametrize("count", [0, 1, 10])
def test_what_fits_says_nothing_of_a_cut(count: int) -> None:
    """Ten of a kind are shown."""
    assert len(list(commands([issue(Level.NOTE)] * count))) == count


def test_long_names_keep_the_limits_of_annotations() -> None:
    """255 letters of a title, 64 kB of a message."""
    (line,) = commands([issue(title="t" * 1_000, message="m" * 100_000)])
    _, properties, message = parsed(line)

    assert (len(properties["title"]), len(message)) == (255, 4_000)
