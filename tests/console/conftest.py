"""A program with a console for every test that wants one."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from consoled import consoled


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch):
    """Cards and sockets of these tests lie by themselves, under a path that is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="h-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def console(tmp_path):
    """A program with a console that only reads: see `consoled.py` for what it can be asked."""
    with consoled(tmp_path) as running:
        yield running


@pytest.fixture
def ask(console):
    """``ask("status")`` is the text of an answer, ``ask("status --json")`` the document."""
    return console.ask
