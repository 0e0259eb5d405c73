"""An environment with real packages, made once and kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.real.packages import PACKAGES


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the environment's programs; whoever asks first installs, and the others wait for it."""
    kept = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir(), "asyncio-harness-environments")
    kept.mkdir(parents=True, exist_ok=True)
    folder = kept / f"real-{sys.version_info.major}.{sys.version_info.minor}"
    whole = folder / "installed"
    with (kept / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists() or whole.read_text() != "\n".join(PACKAGES):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, *PACKAGES], check=True)
            whole.write_text("\n".join(PACKAGES))
    return folder / "bin"
