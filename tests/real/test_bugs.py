"""Bugs of released packages: the version that has one is flagged with the place, the corrected one is not."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.real.bugs import BUGS, FOLDER, Bug
from tests.support.commanded import running

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no programs in {FOLDER}"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="packages of the time of Python 3.11"),
]
# A busy machine takes many times as long as the few seconds of each program.
WITHIN_S = 400
# Blocks that are not the package's: imports at the first request, and a machine without a free processor.
NOT_THE_BUG = ("import", "descheduled")

Install = Callable[[tuple[str, ...]], str]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Returns the interpreter of an environment with such packages, made once in a session."""
    made: dict[tuple[str, ...], str] = {}

    def of(packages: tuple[str, ...]) -> str:
        if packages not in made:
            folder = tmp_path_factory.mktemp("environment")
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
            options = ("-q", "--disable-pip-version-check")
            subprocess.run([*pip, "install", *options, *packages], check=True, capture_output=True)
            made[packages] = str(folder / "bin" / "python")
        return made[packages]

    return of


def told(bug: Bug, report: dict[str, Any]) -> list[str]:
    """What the report says of the bug."""
    if bug.rule == "blocks":
        places = [
            f"{block['function']} in {Path(block['file']).name} through {block['library']}"
            for block in report["blocks"]
            if block["cause"] not in NOT_THE_BUG
        ]
    else:
        places = [
            one["message"]
            for one in report["findings"]
            if one["rule"] == bug.rule and one["level"] == "warning"
        ]
    return [place for place in places if bug.named in place]


@pytest.mark.parametrize("version", ["bad", "good"])
@pytest.mark.parametrize("bug", BUGS, ids=[bug.program for bug in BUGS])
def test_a_bug_is_found_where_it_is_and_only_there(
    bug: Bug, version: str, install: Install, tmp_path: Path
) -> None:
    """The bad version: a block, a leak or an end that does not come, with its place; the good one: none."""
    python = install(bug.bad if version == "bad" else bug.good)
    program = FOLDER / f"{bug.program}.py"
    with program.open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # a program may have a port of its own
        with running("watch", "--", python, program, cwd=tmp_path, env=dict(bug.environ)) as run:
            report = run.ended(within_s=WITHIN_S).report

    assert report["loop"]["turns"] > 0
    assert bool(told(bug, report)) == (version == "bad"), [one["message"] for one in report["findings"]]
