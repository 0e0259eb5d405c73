"""Compiled templates are kept for the next process, where that is safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from harness.read.template_cache import template_cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "asyncio-harness" / "templates"


def rendered() -> str:
    environment = Environment(
        loader=DictLoader({"page": "{{ 6 * 7 }}"}), autoescape=True, bytecode_cache=template_cache()
    )
    return environment.get_template("page").render()


def test_a_template_is_compiled_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second environment loads what the first one has compiled, and compiles nothing."""
    assert rendered() == "42"
    [kept] = home.iterdir()
    assert home.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(Environment, "compile", None)

    assert rendered() == "42"
    assert list(home.iterdir()) == [kept]


def test_a_folder_that_others_may_write_is_not_used(home: Path) -> None:
    """What lies there is neither loaded, since it is code, nor replaced."""
    assert rendered() == "42"
    [kept] = home.iterdir()
    kept.write_bytes(before := b"somebody else's")
    home.chmod(0o777)

    assert rendered() == "42"
    assert kept.read_bytes() == before


@pytest.mark.parametrize("home_is", ["a file", "full"])
def test_without_room_for_it_pages_are_made_as_before(
    home_is: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be made, or written to, is no error."""
    if home_is == "a file":
        home.parent.write_text("")
    else:
        monkeypatch.setattr(os, "replace", _no_room)

    assert rendered() == "42"


def _no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")
