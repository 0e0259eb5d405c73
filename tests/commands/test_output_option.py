"""What `run`, `watch` and `report` print and write: `--format`, `--write` and `--step-summary`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.commanded import COMMAND, Ended, harness, scenario

BLOCKING = """
import asyncio, time
async def main():
    print("ready", flush=True)
    await asyncio.sleep(0.2)
    time.sleep(0.6)
asyncio.run(main())
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a service that blocks, and a scenario that does not allow it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "service.py").write_text(BLOCKING)
    scenario(
        tmp_path,
        f'[target]\nkind = "program"\ncommand = ["{sys.executable}", "service.py"]\n'
        'ready = { log = "ready" }\n'
        '[expect]\n"blocks.max_held_ms" = "< 100"\n',
    )
    return tmp_path


def test_one_run_gives_all_that_a_job_needs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations on stdout, files beside, the Markdown in the step's summary, and the status of the run."""
    (checkout / "summary.md").write_text("of another command\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(checkout / "summary.md"))
    files = ("--write", "report.junit.xml", "--write", "sarif=found.json", "--write", "gitlab=quality.json")
    ended = harness("run", "scenario.toml", "--format", "github", "--step-summary", *files, cwd=checkout)

    assert ended.status == 1
    error, *others = ended.stdout.splitlines()
    assert error.startswith(
        "::error file=scenario.toml,line=6,title=Not met%3A blocks.max_held_ms < 100 ms::"
    )
    block = "::warning file=service.py,line=6,title=Loop blocked by main::main held the loop 1 time"
    assert any(line.startswith(block) for line in others)
    (suite,) = ElementTree.fromstring((checkout / "report.junit.xml").read_text())
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("1", "0")
    results = json.loads((checkout / "found.json").read_text())["runs"][0]["results"]
    assert {"expectation", "blocks"} <= {result["ruleId"] for result in results}
    quality = json.loads((checkout / "quality.json").read_text())
    assert {"scenario.toml", "service.py"} <= {issue["location"]["path"] for issue in quality}
    summary = (checkout / "summary.md").read_text()
    assert summary.startswith("of another command\n## Failed: blocks.max\\_held\\_ms is ")
    assert ended.report["expectations"][0]["line"] == 6

    again = [*COMMAND, "report", "run", "--format", "github"]
    assert subprocess.run(again, cwd=checkout, capture_output=True, text=True).stdout == ended.stdout


def test_watch_shows_a_format_where_its_summary_would_stand(checkout: Path) -> None:
    """So the program's output stays its own; the status, too."""
    ended = harness(
        "watch", "--format", "github", "--step-summary", "--", sys.executable, "service.py", cwd=checkout
    )

    assert (ended.status, ended.stdout) == (0, "ready\n")
    said, *others = ended.stderr.splitlines()
    assert said == "--step-summary: GITHUB_STEP_SUMMARY is not set, so there is none"
    block = "::warning file=service.py,line=6,title=Loop blocked by main::"
    assert any(line.startswith(block) for line in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "checkstyle"], "no format 'checkstyle'"),
        (["--format", "md", "--json"], "--format md and --json: name one format"),
        (["--write", "report.txt"], "--write report.txt: its ending does not name a format"),
        (["--write", "junit="], "--write junit=: expected the name of a file"),
        (["--write", "md=."], "--write md=.: expected the name of a file"),
        (["--write", "md=/dev/stdout"], "--write md=/dev/stdout: expected the name of a file"),
        (["--write", "md=gone/a.md"], "--write md=gone/a.md: no folder gone"),
    ],
)
def test_mistakes_are_found_before_anything_is_started(
    checkout: Path, options: list[str], message: str
) -> None:
    """With the status of a usage error, and no folder of a run."""
    ended: Ended = harness("run", "scenario.toml", *options, cwd=checkout)

    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"harness: {message}\n")
    assert not (checkout / "run").exists()
