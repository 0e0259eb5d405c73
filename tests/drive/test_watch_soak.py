"""Neither a program that is watched nor the watch has ever more memory, descriptors or threads."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from harness.record.event import LoopSampled, TargetStarted
from tests.support.commanded import running
from tests.support.footprint import Footprint, footprint, only_grows

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]

# It serves itself, with a thread and a child now and then, and now and then holds its loop for too long.
PROGRAM = """
import asyncio, itertools, os, sys, time
kept = []

async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    for number in itertools.count():
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"hello\\n")
        await reader.readline()
        writer.close()
        await asyncio.to_thread(time.sleep, 0)
        if number % 40 == 0:
            time.sleep(0.06)
            await (await asyncio.create_subprocess_exec("true")).wait()
        if sys.argv[1] == "leaks" and number % 10 == 0:
            kept.append(os.dup(1))
        await asyncio.sleep(0.01)

asyncio.run(main())
"""
# Until the caches are full, and how long it is looked at then.
WARM_UP_S, LASTS_S, EVERY_S = 4.0, 8.0, 0.2
RISE_MB = 2.0


def looked_at(tmp_path: Path, way: str) -> tuple[list[Footprint], list[Footprint]]:
    """The program and the command `watch`, after the warm-up."""
    (tmp_path / "program.py").write_text(PROGRAM)
    target, runner = [], []
    command = ["--waits", "--calls", "--sample", "--block-ms", "50", "--", sys.executable, "program.py", way]
    with running("watch", *command, cwd=tmp_path) as run:
        pid = run.wait_event(TargetStarted).pid
        run.wait_event(LoopSampled)
        time.sleep(WARM_UP_S)
        began = time.monotonic()
        while time.monotonic() - began < LASTS_S:
            target.append(footprint(pid))
            runner.append(footprint(run.process.pid))
            time.sleep(EVERY_S)
    return target, runner


def growing(looks: list[Footprint]) -> set[str]:
    """Of which there is ever more."""
    columns = zip(Footprint._fields, zip(*looks, strict=True), strict=True)
    return {
        name
        for name, values in columns
        if only_grows(values) and (name != "rss_mb" or values[-1] - values[0] > RISE_MB)
    }


def test_nothing_grows_in_a_program_that_is_watched_nor_in_the_watch(tmp_path: Path) -> None:
    """With steps, calls and samples recorded, and blocks."""
    target, runner = looked_at(tmp_path, "keeps")

    assert growing(target) == set(), target
    assert growing(runner) == set(), runner


def test_a_descriptor_that_is_not_closed_would_be_seen(tmp_path: Path) -> None:
    """The same program keeps one in ten of its rounds: it grows, and the watch does not."""
    target, runner = looked_at(tmp_path, "leaks")

    assert growing(target) == {"descriptors"}, target
    assert growing(runner) == set(), runner
