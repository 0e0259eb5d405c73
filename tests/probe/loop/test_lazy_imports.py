"""A module that is imported by the first use of its name, as `lazy import` of Python 3.15 does."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.probe.hooks.runtime import imports_lazily
from harness.stacks.cause import Cause
from harness.stacks.diagnosis import diagnose
from harness.stacks.ownership import CodeOwnership
from tests.support.watched import LIMIT_MS, watched

pytestmark = pytest.mark.skipif(not imports_lazily(), reason="no Python 3.15, so no lazy imports")

MODULE = "import time; time.sleep(0.15)\nVALUE = 1\n"
PROGRAM = """
    import asyncio
    {kind}import late
    {kind}from late import VALUE

    def use():
        return VALUE

    async def main():
        await asyncio.sleep(0.01)
        use()
        use()

    asyncio.run(main())
"""


def test_the_use_that_imports_is_blamed_with_its_name(tmp_path: Path) -> None:
    """The cause is an import, at the line of the first use; a second use is none."""
    (tmp_path / "late.py").write_text(MODULE)
    seen = watched(PROGRAM.format(kind="lazy "), tmp_path)

    assert (seen.status, seen.stderr) == (0, "")
    (turn,) = seen.blocks
    (found,) = diagnose(turn, CodeOwnership(application=(str(tmp_path),)), limit_ns=LIMIT_MS * 1_000_000)
    assert (found.cause, found.frame.function, found.frame.line) == (Cause.IMPORT, "use", 7)
    assert (found.leaf, found.lazy) == ("import late at the first use of VALUE", "VALUE")


def test_an_import_at_the_top_is_no_block(tmp_path: Path) -> None:
    """The control: the same program, with its module imported before its loop runs."""
    (tmp_path / "late.py").write_text(MODULE)

    assert watched(PROGRAM.format(kind=""), tmp_path).blocks == []
