"""What a console costs the tasks of its service: an open one, and what keeps where each task is made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.record.probe_config import ConsoleConfig

from . import probed, sides

HERE = Path(__file__).parent
SPAWN = HERE / "workloads" / "spawn.py"
COUNT = 40_000
# A tenth of the work is enough where it takes ten times as long.
COUNTS = {"births": COUNT, "aiomonitor": COUNT, "aiomonitor_hook": COUNT // 10}
PAIRS = 10


@pytest.fixture
def python(request):
    return request.config.getoption("--target-python")


@pytest.mark.parametrize("watcher", COUNTS)
def test_task(compare, absent, python, tmp_path, watcher):
    """One task that does nothing: what it adds to keep where it was made; beside it, aiomonitor."""
    if (
        watcher != "births"
        and subprocess.run(
            [python, "-c", "import aiomonitor"], stderr=subprocess.DEVNULL, check=False
        ).returncode
    ):
        absent("task", watcher, "not installed")
    count = COUNTS[watcher]
    # The repository itself: nothing needs to be installed for the births.
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    base = _spawn(python, count, folder=tmp_path, environment=environment)
    head = _spawn(python, count, watcher, folder=tmp_path, environment=environment)

    compare("task", watcher, base, head, pairs=PAIRS)


def test_open_console(compare, python, tmp_path, monkeypatch):
    """The same under the probe: with its console open, and nobody attached, against none."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    base = _spawn(python, COUNT, folder=tmp_path, environment=probed.environment(tmp_path / "without"))
    inside = probed.environment(tmp_path / "with", console=ConsoleConfig())
    head = _spawn(python, COUNT, folder=tmp_path, environment=inside)

    compare("task", "open console", base, head, pairs=PAIRS)


def _spawn(python, count, *watcher, folder, environment):
    command = [python, str(SPAWN), str(count), *watcher]
    return sides.program(command, environment=environment, folder=folder)
