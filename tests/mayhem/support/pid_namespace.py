"""Runs a program as process 1 of its own PID namespace."""

from __future__ import annotations

import shutil
import subprocess

# --kill-child, so that nothing outlives the test.
FIRST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
NOT_PERMITTED = "unshare --pid is not there, or not permitted"


def permitted() -> bool:
    """Whether this machine lets the tests make a PID namespace."""
    return (
        bool(shutil.which("unshare"))
        and subprocess.run([*FIRST, "true"], capture_output=True).returncode == 0
    )
