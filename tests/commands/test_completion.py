"""What a shell completes, as bash asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(*words: str, cwd: Path) -> list[str]:
    """The values that are offered for the last word."""
    program = "import sys; sys.argv[0] = 'harness'; from harness.commands.main import main; main()"
    asked = {
        "_HARNESS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["harness", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=os.environ | asked,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("report", "--format", "p"), ["perfetto", "pprof", "prometheus"]),
        (("watch", "--profiler", "p"), ["pyspy", "pyinstrument="]),
        (("watch", "--fail-on", "blocks.max"), ["blocks.max_held_ms"]),
        (("run", "m"), ["mine/", "my.toml"]),
        (("report", ""), ["reports/20260102-b", "reports/20260101-a"]),
        (("report", "a", "--against", "reports/20260101"), ["reports/20260101-a"]),
    ],
    ids=["formats", "profilers", "figures", "scenarios", "runs", "another run"],
)
def test_what_is_known_is_offered(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    """Names that the harness knows, and runs, the newest first."""
    for run in ("20260101-a", "20260102-b"):
        (tmp_path / "reports" / run).mkdir(parents=True)
        (tmp_path / "reports" / run / "run.json").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "my.toml").touch()
    (tmp_path / "my.txt").touch()

    assert completed(*words, cwd=tmp_path) == offered
