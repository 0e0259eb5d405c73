"""Whether what was named as the program's own code is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.commanded import harness

PROGRAM = "import asyncio, shop\nasyncio.run(asyncio.sleep(0))\n"


@pytest.mark.parametrize(("name", "is_there"), [("shop", True), ("nosuch", False)])
def test_a_package_that_the_program_does_not_have_is_told(tmp_path: Path, name: str, is_there: bool) -> None:
    """Only the program's own environment knows its packages, so the program looks for it."""
    (tmp_path / "lib" / "shop").mkdir(parents=True)
    (tmp_path / "lib" / "shop" / "__init__.py").touch()
    (tmp_path / "program.py").write_text(PROGRAM)
    env = {"PYTHONPATH": str(tmp_path / "lib")}
    ended = harness("watch", "--application", name, "--", sys.executable, "program.py", cwd=tmp_path, env=env)

    assert ended.status == 0, ended.stderr
    told = [found["message"] for found in ended.report["findings"] if found["rule"] == "application"]
    expected = f"--application {name}: the program has no such folder, file or package"
    assert told == ([] if is_there else [expected])
