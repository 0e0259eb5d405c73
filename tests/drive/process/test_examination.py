"""What is seen from outside of a Python without a probe."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.drive.process import proc
from harness.drive.process.examination import examine, version_by_name
from harness.record.event import ProcessExamined, ProcessFound


def seen(imports: str) -> ProcessExamined | None:
    """Of a process that has imported these, and waits."""
    program = f"import sys\n{imports}\nprint('ready', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-I", "-S", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        found = ProcessFound(0, process.pid, 0, tuple(command), 0, proc.executable(process.pid))
        try:
            return examine(found, "folder=", "")
        finally:
            process.kill()


@pytest.mark.parametrize("imports", ["", "import json, subprocess"])
def test_a_python_that_has_not_imported_asyncio_is_seen_as_one(imports: str) -> None:
    """Also where `_asyncio` is a part of the interpreter, as in Debian's Python 3.15."""
    examined = seen(imports)

    assert examined is not None
    assert (examined.shows_asyncio, examined.mapped) == (True, ())


def test_a_python_that_has_imported_asyncio_is_not_taken_for_one_without() -> None:
    """It is seen, or nothing is concluded."""
    examined = seen("import asyncio")

    assert examined is not None
    assert examined.mapped == ("_asyncio",) or not examined.shows_asyncio


@pytest.mark.parametrize(
    ("executable", "version"),
    [
        ("/usr/bin/python3.15", (3, 15)),
        ("/opt/py/bin/python3.14t", (3, 14)),
        ("python3.12.1", (3, 12)),
        ("/usr/bin/python3", None),
        ("python", None),
        ("/usr/bin/python3.15-config", None),
        ("/bin/sh", None),
    ],
)
def test_the_name_of_an_interpreter_may_tell_its_version(
    executable: str, version: tuple[int, int] | None
) -> None:
    """Major and minor; `None` where the name says less, or is that of something else."""
    assert version_by_name(executable) == version
