"""A sampler of Python 3.15 that is started before it is needed.

To start it takes a fifth of a second, in which a short block is over; one that stands by looks within some
milliseconds.
"""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from time import monotonic

from . import tachyon_dumper


class TachyonStandby:
    """Such a sampler in an interpreter. Not thread-safe."""

    def __init__(self, interpreter: str, *, environment: dict[str, str], cwd: str) -> None:
        command = [interpreter, "-I", "-S", str(Path(tachyon_dumper.__file__).resolve())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C is for the runner
        )

    def run(self, arguments: list[str], *, within_s: float) -> tuple[int, str, str]:
        """The exit status, output and errors of the sampler with these arguments.

        Raises:
            OSError: It has ended, or has not answered in time; it cannot be used any more.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
        self._process.stdin.flush()
        status, printed, errors = json.loads(self._line(monotonic() + within_s))
        return status, printed, errors

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        found = b""
        while not found.endswith(b"\n"):
            left_s = deadline - monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                raise TimeoutError("the sampler has not answered in time")
            part = self._process.stdout.read1()  # type: ignore[attr-defined]  # buffered, as all pipes of Popen
            if not part:
                raise BrokenPipeError("the sampler has ended")
            found += part
        return found
