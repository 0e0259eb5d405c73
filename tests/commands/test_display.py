"""Live progress on a terminal: one line, whatever its width."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.support.commanded import COMMAND, Terminal, scenario

SERVICE = """
import asyncio, time
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1)
    time.sleep(0.3)
asyncio.run(main())
"""


def test_progress_is_one_line_that_never_wraps(tmp_path: Path) -> None:
    """On a narrow terminal the line is cut short; nothing of it stays above the summary."""
    (tmp_path / "service.py").write_text(SERVICE)
    file = scenario(
        tmp_path,
        'name = "a-scenario-with-quite-a-long-name"\n'
        f'[target]\nkind = "program"\ncommand = ["{sys.executable}", "service.py"]\n'
        'ready = { log = "ready" }\n',
    )
    terminal = Terminal([*COMMAND, "run", str(file), "--out", "run"], cwd=tmp_path, columns=60)
    status = terminal.ended()

    shown, _, summary = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown).partition("observed ")
    drawn = [line for line in re.split(r"[\r\n]+", shown) if line]
    assert status == 0
    assert len(drawn) >= 4
    assert max(map(len, drawn)) <= 60
    assert all(line.startswith("a-scenario-with-quite-a-long-name ") for line in drawn)
    assert any("  starting  " in line for line in drawn)
    assert any("  watching  " in line for line in drawn)
    # Between two drawings the line is drawn over, not followed by another.
    assert shown.rstrip().count("\n") == 0
    assert "report  run/report.html" in summary
