"""The service as a real process: started, spoken to, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager

# Of a process, for anything it is asked to do.
PATIENCE_S = 60
SERVICE = ("-m", "harness.mayhem")


def run(*arguments, program=SERVICE, patience_s=PATIENCE_S, **environment):
    """The service or one of its commands, from start to end."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=patience_s,
    )


@contextmanager
def started(*arguments, program=SERVICE, before=(), **environment):
    """The service on its way, with nobody waiting for it; killed if the test leaves it running."""
    command = [*before, sys.executable, *program, "serve", *arguments]
    env = {**os.environ, **environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(broker, *arguments, program=SERVICE, **environment):
    """The service in debug mode, ready."""
    with started("--debug", "--broker", broker, *arguments, program=program, **environment) as process:
        wait_line(process, "consuming")
        yield process


def wait_line(process, word):
    """The first line with that word."""
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"the service ended without saying {word!r}")


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def last_words(process):
    """What a process still says until it ends; `communicate` would leave out what is in the pipe's buffer."""
    said = process.stderr.read()
    process.wait(PATIENCE_S)
    return said


def ended(process):
    """The exit status of a process that ends without a complaint."""
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert "never awaited" not in rest
    assert "Traceback" not in rest
    return process.returncode
