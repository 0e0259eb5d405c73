"""What ``harness enable`` costs the processes of an environment that are not watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.drive import environment
from harness.drive.process import probe_env
from harness.record.probe_config import ProbeConfig
from harness.record.process import invitation
from tests.support.watched import run_folder

# Read before the harness's line: from there on, every file that is opened is noted.
NOTES = "import os, sys; sys.noted = []; sys.addaudithook(lambda *event: sys.noted.append(event)); "
# A user of whom no run can be under way.
NOBODY = "os.getuid = lambda: 4_000_000_000"
PROGRAM = """
import asyncio, gc, json, os, signal, sys, threading, time

async def main():
    return {
        "select": asyncio.get_running_loop()._selector.select.__qualname__,
        "modules": sorted(sys.modules),
        "threads": len(os.listdir("/proc/self/task")),
    }

inside = asyncio.run(main())
noted = [(name, str(arguments[0])) for name, arguments in sys.noted if name in ("open", "os.listdir")]
opened = {path for name, path in noted if name == "open" and path.endswith((".pth", ".py", ".pyc"))}
print(json.dumps(inside | {
    "finders": [str(finder).partition(" at ")[0] for finder in (*sys.meta_path, *sys.path_hooks)],
    "paths": sys.path,
    "functions": [asyncio.events._set_running_loop.__module__, os.fork.__module__, signal.signal.__module__],
    "collector": len(gc.callbacks),
    "files": sorted(opened),
    "looks": sorted({path for name, path in noted if name == "os.listdir" and "harness" in path}),
}))
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    """The interpreter of an empty environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return str(tmp_path / "venv/bin/python")


def started(python: str, *options: str, user: str = "") -> dict[str, Any]:
    """How a program describes itself, as *user*."""
    (packages,) = Path(python).parents[1].glob("lib/python*/site-packages")
    (packages / "a-note.pth").write_text(NOTES + user + "\n")
    env = {name: value for name, value in os.environ.items() if name != "HARNESS_PROBE"}
    done = subprocess.run(
        [python, *options, "-c", PROGRAM],
        env=env,
        cwd=Path(python).parents[2],  # Python looks into it, whatever its name
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    described: dict[str, Any] = json.loads(done.stdout)
    return described


@contextmanager
def run_of(pid: int, folder: Path) -> Iterator[None]:
    """A run of this user is under way, whose program is this process."""
    config = ProbeConfig(folder=str(run_folder(folder).path), limit_ns=50_000_000)
    invited = invitation.write(pid, probe_env.environment(config, {})["HARNESS_PROBE"])
    try:
        yield
    finally:
        invitation.withdraw(invited)


@pytest.mark.parametrize("options", [(), ("-I",)], ids=["plain", "isolated"])
def test_without_a_run_one_line_is_read(options: tuple[str, ...], python: str) -> None:
    """Nothing else is opened, and the process is as in an environment that was not prepared."""
    before = started(python, *options, user=NOBODY)
    line = str(environment.enable(Path(python)))
    after = started(python, *options, user=NOBODY)

    # Python 3.15 reads all such files before it runs the first line.
    read = {line} if sys.version_info < (3, 15) else set()
    assert set(after.pop("files")) - set(before.pop("files")) == read
    assert after == before


def test_beside_another_run_no_module_is_loaded(python: str, tmp_path: Path) -> None:
    """It is looked up whether this process belongs to the run, by two files that stand alone; it does not."""
    before = started(python)
    environment.enable(Path(python))
    with subprocess.Popen(["sleep", "60"]) as other, run_of(other.pid, tmp_path / "run"):
        after = started(python)
        other.kill()

    opened = {
        Path(path).name.partition(".")[0] for path in set(after.pop("files")) - set(before.pop("files"))
    }
    assert opened - {"harness-probe", "__future__"} == {"pth_entry", "invitation"}
    assert (before.pop("looks"), after.pop("looks")) == ([], [invitation.folder()])
    # Python's own, of a few lines, which these two files import.
    assert set(after.pop("modules")) - set(before.pop("modules")) <= {"__future__"}
    assert after == before


def test_a_process_of_the_run_is_told_from_others(python: str, tmp_path: Path) -> None:
    """A child of the run's program: what is compared above differs."""
    before = started(python)
    environment.enable(Path(python))
    with run_of(os.getpid(), tmp_path / "run"):
        after = started(python)

    assert [name for name in after["modules"] if name.startswith("_harness_inside.probe.")]
    assert len(after["files"]) > len(before["files"]) + 20
    differing = {name for name in before if before[name] != after[name]}
    assert differing >= {"modules", "files", "select", "threads", "collector"}
