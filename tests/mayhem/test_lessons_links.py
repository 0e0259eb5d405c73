"""Every lesson in docs/lessons.md links to its code and its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "lessons.md"
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)]+)\)")
LESSONS = re.split(r"\n\n(?=\*\*)|\n## .*\n", PAGE.read_text())[1:]
TITLED = {
    lesson.strip().splitlines()[0][:60]: lesson for lesson in LESSONS if lesson.strip().startswith("**")
}


def defined(path: Path) -> set[str]:
    """The names of a module's functions, classes and methods."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member.name}" for member in node.body if hasattr(member, "name")}
    return names


@pytest.mark.parametrize("title", TITLED)
def test_a_lesson_has_its_code_and_its_test(title: str) -> None:
    """Each link leads to a file that defines the linked name; at least one is a test."""
    links = [match.groupdict() for match in LINK.finditer(TITLED[title])]

    for link in links:
        path = PAGE.parent / link["target"]
        assert path.is_file(), link
        if link["text"].startswith("`"):
            assert link["text"].strip("`") in defined(path), link
    assert any(link["text"].startswith("`test_") for link in links)
    assert any(not link["text"].startswith("`test_") for link in links)


def test_all_lessons_are_read() -> None:
    """All lessons of the page are found."""
    assert len(TITLED) >= 25
