"""Runs the program bare, and watched with functions of the probe that raise, and compares the two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.drive.process.probe_env import environment
from harness.record.event import Event
from harness.record.probe_config import ProbeConfig
from harness.record.reader import Follower
from tests.support.recorded import E, of_kind
from tests.support.watched import run_folder

HERE = Path(__file__).parent
ENTRY = HERE.parents[1] / "harness" / "probe" / "entry" / "sitecustomize.py"
ENDINGS = ("exit", "_exit", "exec", "raise")
KINDS = ("RuntimeError", "MemoryError", "Harm", "AttributeError", "RecursionError")

Point = tuple[str, str]  # a function of the probe, as ``module:qualname``, and a phase of the program


@dataclass(frozen=True, slots=True)
class Ran:
    """What a user sees of a program that ended."""

    status: int
    stdout: str
    stderr: str
    took_s: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class Sabotaged:
    """A watched program, and the probe's functions that were reached and that raised."""

    ran: Ran
    seen: dict[Point, int]  # with the fewest calls in the probe by which it was reached
    raised: frozenset[Point]
    events: tuple[Event, ...]

    def of(self, kind: type[E]) -> list[E]:
        return of_kind(list(self.events), kind)


def bare(ending: str, python: str = sys.executable) -> Ran:
    """The program without the probe."""
    return _run([python, str(HERE / "program.py"), ending], _own_environment())


def sabotaged(
    ending: str,
    folder: Path,
    points: Iterable[Point] = (),
    *,
    python: str = sys.executable,
    kind: str = "",
) -> Sabotaged:
    """The program with the probe, in which all *points* raise; the kinds of errors take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    config = ProbeConfig(
        folder=str(run_folder(folder / "run").path), limit_ns=50_000_000, calls=True, sample_hz=100, waits=1.0
    )
    plan, seen = folder / "plan", folder / "seen"
    lines = [
        f"{key} {phase} {kind or KINDS[number % len(KINDS)]}"
        for number, (key, phase) in enumerate(sorted(points))
    ]
    plan.write_text("\n".join(lines))
    env = environment(config, _own_environment())
    cache = folder.parent / "compiled"
    cache.mkdir(exist_ok=True)
    env |= {
        "HARM_CACHE": str(cache),
        "HARM_PLAN": str(plan),
        "HARM_SEEN": str(seen),
        "HARM_ENTRY": str(ENTRY),
    }
    env["PYTHONPATH"] = f"{HERE / 'inject'}{os.pathsep}{env['PYTHONPATH']}"
    ran = _run([python, str(HERE / "program.py"), ending], env)
    words = [line.split() for line in seen.read_text().splitlines()]
    reached: dict[Point, int] = {}
    for _, key, phase, depth in (line for line in words if line[0] == "seen"):
        reached[key, phase] = min(int(depth), reached.get((key, phase), int(depth)))
    raised = frozenset((key, phase) for what, key, phase, *_ in words if what == "raised")
    follower = Follower(folder / "run" / "events")
    return Sabotaged(ran, reached, raised, tuple(event for _, event in follower.new_events()))


def _own_environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}


def _run(command: list[str], env: dict[str, str]) -> Ran:
    began_s = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    took_s = time.monotonic() - began_s
    # The identity of an object in a message differs from run to run.
    stdout, stderr = (re.sub(r"0x[0-9a-f]+", "0x…", text) for text in (done.stdout, done.stderr))
    return Ran(done.returncode, stdout, stderr, took_s)
