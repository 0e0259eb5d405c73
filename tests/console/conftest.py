"""A program with a console for every test that wants one."""

from __future__ import annotations

import pytest
from consoled import consoled


@pytest.fixture
def console(tmp_path):
    """A program with a console that only reads: see `consoled.py` for what it can be asked."""
    with consoled(tmp_path) as running:
        yield running


@pytest.fixture
def ask(console):
    """``ask("status")`` is the text of an answer, ``ask("status --json")`` the document."""
    return console.ask
