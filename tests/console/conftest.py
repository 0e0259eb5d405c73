"""Fixtures: a program with a console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.consoled import Consoled, consoled

Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def runtime_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Like `runtime_folder`, for a program that all tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
        yield


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Consoled]:
    """A program with a console that only reads; see `support/consoled.py` for its methods."""
    with consoled(tmp_path) as running:
        yield running


@pytest.fixture
def ask(console: Consoled) -> Ask:
    """``ask("status")`` returns the text of an answer, ``ask("status --json")`` the document."""
    return console.ask
