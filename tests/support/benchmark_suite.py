"""Suites of benchmarks whose clock moves only as they say, so that the machine's speed decides nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.record.run_folder import RunFolder
from tests.support.commanded import MARK, Running
from tests.support.process import Heard

CLOCK = """
import pytest

now_s = 0.0

def clock():
    global now_s
    now_s += 1e-9  # pytest-benchmark waits until its timer moves
    return now_s

def takes(ms):
    global now_s
    now_s += ms / 1e3

async def takes_async(ms):
    takes(ms)
"""
HEAD = """
import pytest
from work import clock, takes, takes_async
pytestmark = pytest.mark.benchmark(timer=clock)
"""
PLUGINS = ("pytest_benchmark.plugin", "harness.benchmark_plugin")


def git(folder: Path, *arguments: str) -> str:
    given = ("-c", "user.name=a", "-c", "user.email=a@b", *arguments)
    done = subprocess.run(["git", *given], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def taking(name: str, ms: float) -> str:
    """A benchmark."""
    return f"def test_{name}(benchmark): benchmark(takes, {ms})\n"


def write(folder: Path, tests: str, *, name: str = "test_it.py") -> None:
    """The files of a suite."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / ".gitignore").write_text("__pycache__\nreports\n.benchmarks\n*.json\n.pytest_cache\n")
    (folder / "work.py").write_text(CLOCK)
    (folder / name).write_text(HEAD + tests)


def committed(folder: Path, tests: str) -> Path:
    """A repository with a suite in its first commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    write(folder, tests)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def trees(folder: Path) -> int:
    """How many work trees git knows."""
    return len(git(folder, "worktree", "list").splitlines())


@contextmanager
def pytest_running(
    folder: Path, *options: str, plugins: tuple[str, ...] = PLUGINS, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """pytest with both plugins in a process of its own; nothing of it outlives the block."""
    mark, value = MARK, uuid.uuid4().hex
    loaded = [word for name in plugins for word in ("-p", name)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = Heard(
        [sys.executable, "-m", "pytest", *loaded, *options],
        cwd=folder,
        env={**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200", mark: value, **(env or {})},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    run = Running(process, RunFolder(folder / "reports"), f"{mark}={value}")
    try:
        yield run
    finally:
        for pid in run.processes():
            os.kill(pid, 9)
        process.communicate()
