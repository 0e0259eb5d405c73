"""A side that is a program: a new process each time, and what it cost as a whole.

A program may tell more by itself: if the last line that it prints is a JSON object, its numbers are measures,
too, and replace ours of the same name, since only the program knows where its start ends and its work begins.
``items`` says how much work it did; CPU time and wall clock are then also told for one item.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...errors import OutputError, TargetError
from ...record.comparison.pairs import Measured
from ...record.event import describe_status
from .. import preflight
from .scratch import RUNS, scratch_folder

ITEMS = "items"
# Lines of what a program wrote that are shown when it fails.
LINES = 8
# What may be read of its output; its last line is what matters.
MOST_READ = 1_000_000
# errno of a full disk, and of a full quota.
_FULL = (28, 122)


@dataclass(frozen=True, slots=True)
class ProgramSide:
    """One of two programs that are compared.

    Raises:
        UsageError: There is no such program.
    """

    name: str  # "base" or "head"
    command: tuple[str, ...]
    launcher: Launcher
    cwd: Path
    env: Mapping[str, str]
    within_s: float

    def __post_init__(self) -> None:
        preflight.check_program(self.command[0], cwd=self.cwd, env=self.env)

    def run(self) -> Measured:
        """Run the program once, to its end.

        Raises:
            TargetError: It failed, or did not end in time.
        """
        return self.launcher.run(self)


class Launcher:
    """The process that starts the programs, for the duration of the ``with`` block."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.folder = self._stack.enter_context(scratch_folder(RUNS))
        self._process = subprocess.Popen(
            # By its path and without `site`: it needs neither the harness nor any installed package.
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is the runner's to handle
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Closing its stdin makes it end what runs; what it answers then is of no interest.
        with self._stack:
            self._process.communicate()

    def run(self, side: ProgramSide) -> Measured:
        """Run the program of *side* once; see `ProgramSide.run`."""
        stdout, stderr = self.folder / "stdout", self.folder / "stderr"
        # As a shell does it: a path is relative to where the program runs, a name is on the PATH.
        is_path = os.sep in side.command[0]
        found = None if is_path else shutil.which(side.command[0], path=side.env.get("PATH"))
        answer = self._ask(
            program=str(side.cwd / side.command[0]) if found is None else found,
            command=side.command,
            cwd=str(side.cwd),
            env=dict(side.env),
            stdout=str(stdout),
            stderr=str(stderr),
            within_s=side.within_s,
        )
        if "error" in answer:
            kind = OutputError if answer["errno"] in _FULL else TargetError
            raise kind(f"{side.name}: {side.command[0]} cannot be started: {answer['error']}")
        if answer["is_late"]:
            raise TargetError(f"{side.name}: the program did not end within {side.within_s:g} s")
        if answer["status"]:
            exc = TargetError(f"{side.name}: the program ended {describe_status(answer['status'])}")
            for line in _last_lines(stderr) or _last_lines(stdout):
                exc.add_note(line)
            raise exc
        ours = {name: float(answer[name]) for name in ("cpu_ms", "wall_ms", "peak_mb")}
        return _per_item(ours | _told(stdout))

    def _ask(self, **order: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise TargetError("the process that starts the programs has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _told(stdout: Path) -> dict[str, float]:
    """The numbers of the JSON object in the last line that the program printed."""
    lines = _last_lines(stdout)
    if not lines or not lines[-1].startswith("{"):
        return {}
    try:
        told = json.loads(lines[-1])
    except ValueError:
        return {}
    return {
        str(name): float(value)
        for name, value in told.items()
        if type(value) in (int, float) and math.isfinite(value)
    }


def _per_item(measured: dict[str, float]) -> Measured:
    items = measured.get(ITEMS, 0.0)
    if items <= 0:
        return measured
    return measured | {
        f"{kind}_us_per_item": measured[f"{kind}_ms"] * 1e3 / items for kind in ("cpu", "wall")
    }


def _last_lines(path: Path) -> Sequence[str]:
    with suppress(OSError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - MOST_READ))
        text = file.read().decode(errors="replace").rstrip()
        return text.splitlines()[-LINES:]
    return ()
