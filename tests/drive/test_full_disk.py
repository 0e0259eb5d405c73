"""A disk that becomes full in the middle: the load stops, what was measured is told, nobody's status lies."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.record.run import read_manifest
from harness.record.run_folder import RunFolder
from tests.support.commanded import COMMAND, scenario
from tests.support.no_bytecode import without_bytecode
from tests.support.port import free_port

FLOOD = """
import asyncio, time
async def main():
    for n in range(150):
        time.sleep(0.006)
        await asyncio.sleep(0)
asyncio.run(main())
raise SystemExit(6)
"""


SERVER = """
import asyncio, sys

async def answer(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def no_file_beyond(size: int) -> Callable[[], None]:
    """What a full disk looks like to every process of a run, but for its errno."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def ended(*arguments: object, cwd: Path, size: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=without_bytecode(),
        capture_output=True,
        text=True,
        timeout=90,
        preexec_fn=no_file_beyond(size),
    )


def test_a_run_stops_its_load_and_tells_what_it_measured(tmp_path: Path) -> None:
    """3 and not 2, the reason first, the figures so far, and no report on the disk."""
    # Not the chaos service, since its database would grow beyond any such limit at once.
    (tmp_path / "service.py").write_text(SERVER)
    port = free_port()
    text = f"""
        [target]
        kind = "program"
        command = ["{sys.executable}", "service.py", "{port}"]
        ready = {{ log = "ready" }}
        [load]
        sender = "http"
        url = "http://127.0.0.1:{port}/"
        rate_per_s = 200
        duration_s = 60
        max_late_ms = 5000
    """
    began_s = time.monotonic()
    done = ended("run", scenario(tmp_path, text), "--out", "run", cwd=tmp_path, size=40_000)

    assert done.returncode == 3, done.stderr
    assert time.monotonic() - began_s < 45
    assert done.stdout.startswith("invalid Invalid measurement (the run could not be carried out as asked: ")
    assert "the record cannot be written: File too large" in done.stdout.splitlines()[0]
    assert " sent, " in done.stdout
    assert "report.html: cannot be written" in done.stderr or "report.json: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_watched_program_keeps_its_status(tmp_path: Path) -> None:
    """Its events do not fit: the summary is there, the status is its own; a condition cannot be judged."""
    (tmp_path / "flood.py").write_text(FLOOD)
    options = ("watch", "--block-ms", "2")
    program = ("--", sys.executable, "flood.py")
    unasked = ended(*options, "--out", "run", *program, cwd=tmp_path, size=30_000)
    asked = ended(
        *options, "--fail-on", "blocks.count > 1e6", "--out", "b", *program, cwd=tmp_path, size=30_000
    )

    assert unasked.returncode == 6
    # A slow machine first says that it reads the record.
    assert "harness: " in [line[:9] for line in unasked.stderr.splitlines()]
    assert "cannot be written: File too large" in unasked.stderr
    assert "crashed The target died on its own with status 6: " in unasked.stderr
    assert asked.returncode == 3
    assert read_manifest(RunFolder(tmp_path / "b")).expectations
    for done in (unasked, asked):
        assert "Traceback" not in done.stderr
