"""Runs the service as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

# Maximum wait for anything a process does.
PATIENCE_S = 60
SERVICE = ("-m", "harness.mayhem")


def run(
    *arguments: str, program: Sequence[str] = SERVICE, patience_s: int = PATIENCE_S, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the service or one of its commands to its end."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=patience_s,
    )


@contextmanager
def started(
    *arguments: str,
    program: Sequence[str] = SERVICE,
    before: Sequence[str] = (),
    **environment: str,
) -> Iterator[subprocess.Popen[str]]:
    """Start the service without waiting for it; kill it if the test leaves it running."""
    command = [*before, sys.executable, *program, "serve", *arguments]
    env = {**os.environ, **environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(
    broker: str, *arguments: str, program: Sequence[str] = SERVICE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the service in debug mode, and wait until it is ready."""
    with started(
        "--debug", "--broker", broker, *arguments, program=program, before=(), **environment
    ) as process:
        wait_line(process, "consuming")
        yield process


def stderr_of(process: subprocess.Popen[str]) -> IO[str]:
    """The pipe from the process's stderr."""
    assert process.stderr is not None
    return process.stderr


def wait_line(process: subprocess.Popen[str], word: str) -> str:
    """Read up to the first line with that word, and return it."""
    said = []
    for line in stderr_of(process):
        if word in line:
            return line
        said.append(line)
    raise AssertionError(f"the service ended without saying {word!r}: {''.join(said[-20:])}")


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def last_words(process: subprocess.Popen[str]) -> str:
    """Read the rest of stderr until the end; `communicate` would leave out what is in the pipe's buffer."""
    said = stderr_of(process).read()
    process.wait(PATIENCE_S)
    return said


def ended(process: subprocess.Popen[str]) -> int:
    """The exit status of a process that ends without a warning or traceback."""
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert "never awaited" not in rest
    assert "Traceback" not in rest
    return process.returncode
