"""Environments with real packages, made once and kept in pytest's cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Environment = Callable[..., Path]


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest) -> Environment:
    """``environment("name", "package", ...)`` is the folder of the programs of a virtual environment."""
    kept = request.config.cache.mkdir("environments")

    def made(name: str, *packages: str) -> Path:
        folder = kept / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
        whole = folder / "installed"
        if not whole.exists() or whole.read_text() != "\n".join(packages):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, *packages], check=True)
            whole.write_text("\n".join(packages))
        return Path(folder / "bin")

    return made
