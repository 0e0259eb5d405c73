"""What the probe adds to the start and end of a process: every Python process of a target pays it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from . import probed, sides

START = Path(__file__).parent / "workloads" / "start.py"
PAIRS = 20
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]

LOOP = "import asyncio; asyncio.run(asyncio.sleep(0))"


@pytest.fixture
def python(absent, version):
    """The interpreter of that version, found by its name on PATH."""
    found = shutil.which(f"python{version}")
    if found is None:
        absent("start", f"Python {version}", "not on PATH")
    # A version manager's command of that name is a script that takes longer than what it starts, or fails.
    asked = subprocess.run([found, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    if asked.returncode:
        absent("start", f"Python {version}", "not in force on PATH")
    return asked.stdout.strip()


@pytest.mark.parametrize("version", VERSIONS)
def test_start_with_a_loop(compare, python, tmp_path, version):
    """A process that runs a loop once: the probe opens its record, and closes it."""
    _compare_starts(compare, f"start, a loop, {version}", python, LOOP, tmp_path)

    assert min(probed.turns(tmp_path / "run"), default=0) > 0


@pytest.mark.parametrize("version", VERSIONS)
def test_start_without_asyncio(compare, python, tmp_path, version):
    """A process that never runs a loop: the probe waits for one, and says no more than that it was there."""
    _compare_starts(compare, f"start, nothing, {version}", python, "pass", tmp_path)

    assert set(probed.turns(tmp_path / "run")) == {0}


def _compare_starts(compare, what, python, code, folder):
    inside = probed.environment(folder / "run")
    command = [python, "-I", str(START), python, "-c", code]
    base = sides.program(command, environment=os.environ, folder=folder)
    head = sides.program(command, environment=inside, folder=folder)

    compare(what, "probe", base, head, pairs=PAIRS)
