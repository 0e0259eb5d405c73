"""The probe's descriptors are none of the program's, whatever it does to its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.record.event import Blocked, ProbeClosed, ProbeFailed
from harness.record.probe_config import ConsoleConfig
from tests.support.watched import watched

NUMBERS = """
    import asyncio, ctypes, json, os

    async def main():
        await asyncio.sleep(0.2)
        print(json.dumps(sorted(map(int, os.listdir("/proc/self/fd")))))

    asyncio.run(main())
"""
# The first loop is watched, then every descriptor is closed, and the program opens files of its own.
CLOSES = """
    import asyncio, os, time

    def held():
        time.sleep(0.2)

    async def main(files):
        held()
        await asyncio.sleep(0.2)
        for file in files:
            file.flush()

    asyncio.run(main([]))
    os.closerange(3, BEFORE)
    files = [open(f"own-{number}", "w+") for number in range(40)]
    asyncio.run(main(files))
    for file in files:
        os.fstat(file.fileno())  # nobody has closed it
    print("ran", flush=True)
"""


def test_the_low_numbers_are_the_programs(tmp_path: Path) -> None:
    """A file that the program opens has the number that it would have without the probe."""
    seen = watched(NUMBERS, tmp_path, sample_hz=100, waits=1.0, console=ConsoleConfig(allow=("cancel",)))
    bare = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    low = [number for number in seen.said if number < 100]

    # A mapping keeps a descriptor before Python 3.13, and Python chooses its number: the lowest that is free
    # while another thread of the probe may just be opening a file.
    own = json.loads(bare.stdout)
    assert low[: len(own)] == own
    assert len(low) == len(own) + (sys.version_info < (3, 13))
    assert len(seen.said) > len(low) + 3


def test_a_program_that_closes_every_low_descriptor_is_watched_on(tmp_path: Path) -> None:
    """Both blocks are in the record, which is whole."""
    seen = watched(CLOSES.replace("BEFORE", "256"), tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran\n", "")
    assert [block.held_ns > 190e6 for block in seen.blocks] == [True, True]
    assert seen.of(ProbeFailed) == []
    assert seen.of(ProbeClosed)
    assert not any(path.stat().st_size for path in tmp_path.glob("own-*"))


def test_a_program_that_closes_all_descriptors_keeps_its_files(tmp_path: Path) -> None:
    """Nothing is written into them, none is closed; the record goes on, and names what has failed."""
    seen = watched(CLOSES.replace("BEFORE", "65536"), tmp_path)

    assert (seen.status, seen.stdout, seen.stderr) == (0, "ran\n", "")
    assert not any(path.stat().st_size for path in tmp_path.glob("own-*"))
    assert {failed.where for failed in seen.of(ProbeFailed)} >= {"loops"}
    assert len([block for block in seen.of(Blocked) if block.ended]) == 2
    assert seen.of(ProbeClosed)
