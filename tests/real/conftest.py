"""Environments with real packages, made once and kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Environment = Callable[[str, Sequence[str]], Path]


@pytest.fixture(scope="session")
def environment() -> Environment:
    """``environment("name", packages)`` is the folder of the programs of a virtual environment."""
    return installed


def installed(name: str, packages: Sequence[str]) -> Path:
    """The programs' folder; whoever asks first installs, and the others wait for it."""
    kept = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir(), "asyncio-harness-environments")
    kept.mkdir(parents=True, exist_ok=True)
    folder = kept / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    whole = folder / "installed"
    with (kept / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists() or whole.read_text() != "\n".join(packages):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, *packages], check=True)
            whole.write_text("\n".join(packages))
    return folder / "bin"
