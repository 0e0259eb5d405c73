"""Live progress on a terminal: one line, whatever its width."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from harness.commands import display
from harness.commands.display import Patience
from harness.record.run_folder import RunFolder
from tests.support.commanded import COMMAND, Terminal, harness, scenario, wait

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


def test_watch_prints_its_report_as_json(tmp_path: Path) -> None:
    """Where its summary would stand, so the program's output stays its own."""
    (tmp_path / "service.py").write_text("import asyncio\nprint('ready')\nasyncio.run(asyncio.sleep(0))\n")
    ended = harness("watch", "--json", "--", sys.executable, "service.py", cwd=tmp_path)

    assert (ended.status, ended.stdout) == (0, "ready\n")
    assert json.loads(ended.stderr) == ended.report


def test_brief_and_whole_contradict_each_other(tmp_path: Path) -> None:
    """Nothing is started then."""
    ended = harness("watch", "-q", "-v", "--", sys.executable, "service.py", cwd=tmp_path)

    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr == "harness: --quiet and --verbose contradict each other\n"


def test_a_large_record_is_read_with_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its size and the time so far, again and again; nothing for a record that is read at once."""
    folder = RunFolder(tmp_path)
    folder.events.mkdir()
    (folder.events / "target-1-1.jsonl").write_bytes(b"x" * 2_000_000)
    with Patience(folder):
        pass
    said_at_once = capfd.readouterr().err
    monkeypatch.setattr(display, "QUIET_EVERY_S", 0.01)
    with Patience(folder):
        said = wait(lambda: capfd.readouterr().err)

    assert said_at_once == ""
    assert said.startswith("reading the record, 2 MB: 0 s\n")
