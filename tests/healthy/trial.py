"""One run of a healthy program under ``harness watch``, and what was said of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.healthy.roster import ROOT, Program
from tests.support.commanded import COMMAND

# A machine that is busy may take this many times as long as the longest program.
PATIENCE_S = 240.0
_GRAVE = ("warning", "error")
# Uses a whole processor, until its input ends with the process that has started it.
_HOG = """
import os, threading
threading.Thread(target=lambda: os._exit(len(os.read(0, 1)))).start()
while True: pass
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one run."""

    program: Program
    status: int
    said: tuple[str, ...]  # the findings that are no notes, each with its rule
    verdict: str
    stderr: str

    @property
    def is_clean(self) -> bool:
        return self.status == 0 and not self.said


def tried(program: Program, folder: Path) -> Trial:
    """Run *program* to its end, with the record in *folder*."""
    command = [*COMMAND, "watch", "--out", str(folder), *program.options]
    done = subprocess.run(
        [*command, "--", sys.executable, *program.arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    report = json.loads((folder / "report.json").read_text())
    said = (f"{one['rule']}: {one['message']}" for one in report["findings"] if one["level"] in _GRAVE)
    return Trial(program, done.returncode, tuple(said), report["run"]["verdict"], done.stderr)


@contextmanager
def busy_machine(hogs: int) -> Iterator[None]:
    """Processes that use a processor each, beside what is run inside."""
    with ExitStack() as started:
        for _ in range(hogs):
            hog = subprocess.Popen([sys.executable, "-c", _HOG], stdin=subprocess.PIPE)
            started.callback(hog.wait)
            started.callback(hog.kill)
        yield
