"""Runs small programs under the probe, and gives back what the record says; for any Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, TypedDict, Unpack

from harness.drive.process.probe_env import environment
from harness.record.event import Blocked, Event
from harness.record.probe_config import ConsoleConfig, ProbeConfig
from harness.record.reader import Follower, Source
from harness.record.run_folder import RunFolder
from tests.support.process import Piped
from tests.support.recorded import E, of_kind

LIMIT_MS = 50


class Asked(TypedDict, total=False):
    """What a test asks of the probe, with the names of `ProbeConfig`."""

    control: str
    console: ConsoleConfig | None
    profile_span: str
    calls: bool
    origins: bool
    cprofile: bool
    sample_hz: int
    waits: float
    waits_for_s: float
    application: tuple[str, ...]
    hang_ms: float
    hang_exit_s: float
    systemd_watchdog: bool


class How(Asked, total=False):
    """The same, and how the program is started."""

    python: str
    env: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """A program that ended, and its record."""

    status: int
    stdout: str
    stderr: str
    folder: RunFolder
    sources: list[Source]
    events: list[Event]

    def of(self, kind: type[E]) -> list[E]:
        return of_kind(self.events, kind)

    @property
    def blocks(self) -> list[Blocked]:
        """The blocks that ended, without those in which a busy machine gave the loop no processor."""
        return [block for block in self.of(Blocked) if block.ended and not starved(block)]

    @property
    def said(self) -> Any:
        """The JSON that the program printed last."""
        return json.loads(self.stdout.splitlines()[-1])


def starved(block: Blocked) -> bool:
    """Whether the loop's thread neither waited in a call nor computed: then it was not the program.

    One that computed for the limit would have been late with a processor of its own.
    """
    waited = any(sample.syscall not in ("", "running") for sample in block.samples)
    return not waited and (block.whole_cpu_ns or 0) < min(block.held_ns / 4, LIMIT_MS * 1e6)


def run_folder(path: Path) -> RunFolder:
    """An empty run's folder, as the probe expects to find it."""
    folder = RunFolder(path)
    for part in (folder.processes, folder.events, folder.loops, folder.artefacts):
        part.mkdir(parents=True)
    return folder


def start(
    program: str,
    tmp_path: Path,
    *,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
    **asked: Unpack[Asked],
) -> tuple[Piped, RunFolder]:
    """Start *program* with the probe inside."""
    folder = run_folder(tmp_path / "run")
    file = tmp_path / "program.py"
    file.write_text(dedent(program))
    config = ProbeConfig(folder=str(folder.path), limit_ns=LIMIT_MS * 1_000_000, **asked)
    own = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    process = Piped(
        [python, str(file)],
        env=environment(config, own),
        cwd=tmp_path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process, folder


def outcome(process: subprocess.Popen[str], folder: RunFolder) -> Outcome:
    """Wait for its end, and read its record."""
    stdout, stderr = process.communicate(timeout=60)
    follower = Follower(folder.events)
    events = [event for _, event in follower.new_events()]
    return Outcome(process.returncode, stdout, stderr, folder, follower.sources, events)


def watched(program: str, tmp_path: Path, **how: Unpack[How]) -> Outcome:
    """Run *program* to its end with the probe inside."""
    return outcome(*start(program, tmp_path, **how))
