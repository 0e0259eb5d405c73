"""Processes whose channels are pipes."""

from __future__ import annotations

import subprocess
from typing import IO


class Heard(subprocess.Popen[str]):
    """A process with a pipe at its stdout and stderr."""

    stdout: IO[str]
    stderr: IO[str]


class Piped(Heard):
    """A process with a pipe at its stdin, too."""

    stdin: IO[str]
