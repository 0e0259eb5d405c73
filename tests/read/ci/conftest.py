"""A repository with a program in it, and the report of a run that blocked there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read.ci.source_tree import SourceTree

PROGRAM = "import time\n\n\ndef total():\n    time.sleep(0.3)\n"


@pytest.fixture
def repository(tmp_path: Path) -> SourceTree:
    """With `shop/cart.py`, an installed package, and `main.py` at its root."""
    root = tmp_path / "repository"
    for name in (".git/HEAD", "shop/cart.py", ".venv/lib/python3.12/site-packages/sdk/client.py", "main.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(PROGRAM)
    return SourceTree.around(root / "shop")
