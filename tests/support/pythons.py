"""The other Pythons of this machine, for what must work in each of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

# The versions that the harness supports.
SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The parameters of a test in which each takes seconds: of the others, their own run of it tells sooner.
OTHERS = [pytest.param(one, marks=pytest.mark.long) for one in SUPPORTED if one != _HERE]
EACH = [_HERE, *OTHERS]


@cache
def find_python(version: str) -> str | None:
    """A working interpreter of that minor version: on the PATH, or one that pyenv keeps."""
    found = [shutil.which(f"python{version}"), *_of_pyenv(version)]
    for python in filter(None, found):
        asked = [python, "-c", "import sys; print(sys.version)"]
        tried = subprocess.run(asked, capture_output=True, text=True)
        if tried.stdout.startswith(f"{version}."):
            return python
    return None


def needs_python(version: str) -> str:
    """That interpreter; the test is skipped where there is none."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    return python


def _of_pyenv(version: str) -> list[str]:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return []
    root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
    found = Path(root, "versions").glob(f"{version}.*/bin/python")
    return [str(path) for path in sorted(found, reverse=True)]
