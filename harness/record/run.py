"""The manifest of a run, which makes its folder (`run_folder.py`) when it is written."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import RecordError, UsageError
from .clock import monotonic_ns
from .observation import FORMAT
from .run_folder import RunFolder

MANIFEST = "run.json"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A limit on one figure of `report.json`: ``loop.lag_ms.p99 < 50``."""

    key: str  # dotted path into report.json; see `read/judge/expectation.py` for the derived ones
    comparison: str  # "<", "<=", ">", ">=", "==", "!="
    limit: float
    fail_on: bool = False  # the run fails if it holds, as with `watch --fail-on`; else if it does not
    line: int | None = field(default=None, compare=False)  # of the scenario's file, where it stands there

    def __str__(self) -> str:
        return f"{self.key} {self.comparison} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Run:
    """The manifest: the parameters of the run, and its start by the record's clock."""

    id: str
    scenario: str  # the scenario's name; "watch" for a program run by `harness watch`
    started: str  # ISO 8601 with its offset
    started_ns: int  # `time.monotonic_ns` at that instant
    seed: int
    python: str
    commit: str  # of the git checkout in the working directory, "" if there is none
    command: tuple[str, ...]  # of the target
    block_limit_ns: int
    expectations: tuple[Expectation, ...] = ()
    max_late_ms: float | None = None  # load later than this invalidates the measurement
    settings: dict[str, object] = field(default_factory=dict)  # the scenario as it was run
    scenario_file: str = ""  # absolute; "" for a program run by `harness watch`
    branch: str = ""  # that is checked out there, or that CI says it builds; "" if there is none
    host: str = ""  # the machine's name
    format: int = FORMAT


def read_manifest(folder: RunFolder) -> Run:
    """Read the manifest of a run.

    Raises:
        RecordError: The folder has no record, or it is damaged, or has a newer format.
    """
    path = folder.path / MANIFEST
    if folder.path.is_file():
        exc = RecordError(f"{folder.path}: expected the folder of a run, got a file")
        if folder.path.name == MANIFEST:
            exc.add_note(f"Name its folder: {folder.path.parent}")
        raise exc
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise RecordError(f"{folder.path}: no record of a run here ({MANIFEST} is missing)") from None
    except OSError as exc:
        raise RecordError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise RecordError(f"{path}: damaged: expected JSON, {exc}") from exc
    return _manifest(path, raw)


def _manifest(path: Path, raw: object) -> Run:
    if not isinstance(raw, dict):
        raise RecordError(f"{path}: not a run's manifest: expected an object")
    # `schema` is what `report.json` calls it.
    for key in ("format", "schema"):
        number = raw.get(key, FORMAT if key == "schema" else None)
        if type(number) is not int or not 0 < number <= FORMAT:
            exc = RecordError(f"{path}: {key}: expected a number up to {FORMAT}, got {json.dumps(number)}")
            exc.add_note("Read it with the version of the harness that wrote it, or a newer one.")
            raise exc
    kinds: dict[str, Any] = {
        "command": list,
        "expectations": list,
        "settings": dict,
        "max_late_ms": (int, float, type(None)),
    }
    kinds |= dict.fromkeys(("started_ns", "seed", "block_limit_ns", "format"), int)
    for name in Run.__slots__:
        kind = kinds.get(name, str)
        if name in raw and not _is_sound(raw[name], kind):
            raise RecordError(f"{path}: {name}: unexpected value {raw[name]!r:.50}")
    if "block_limit_ns" in raw and raw["block_limit_ns"] < 0:
        raise RecordError(f"{path}: block_limit_ns: expected 0 or more, got {raw['block_limit_ns']}")
    required = [f.name for f in fields(Run) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in raw]:
        raise RecordError(f"{path}: damaged: the key {missing[0]} is missing")
    known = {name: raw[name] for name in Run.__slots__ if name in raw}
    expectations = tuple(_expectation(path, one) for one in raw.get("expectations", ()))
    known |= {"command": tuple(map(str, raw["command"])), "expectations": expectations}
    return Run(**known)


def _expectation(path: Path, raw: object) -> Expectation:
    kinds: dict[str, Any] = {"key": str, "comparison": str, "limit": (int, float), "fail_on": bool}
    kinds["line"] = (int, type(None))
    if isinstance(raw, dict) and all(_is_sound(raw.get(name, False), kind) for name, kind in kinds.items()):
        return Expectation(**{name: raw[name] for name in kinds if name in raw})
    raise RecordError(f"{path}: expectations: damaged: {json.dumps(raw):.80}")


def _is_sound(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def create(path: Path, run: Run) -> RunFolder:
    """Create the folder of a new run with its manifest.

    Raises:
        UsageError: *path* already holds a run, or cannot be written.
    """
    folder = RunFolder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if (path / MANIFEST).exists():
            raise UsageError(f"{path}: holds a run already; name another folder with --out")
        for part in (folder.processes, folder.events, folder.loops, folder.artefacts):
            part.mkdir(exist_ok=True)
        # Written to another file and renamed, so that no reader finds half a manifest.
        aside = path / f".{MANIFEST}.{os.getpid()}"
        aside.write_text(json.dumps(asdict(run), indent=1) + "\n")
        aside.rename(path / MANIFEST)
    except OSError as exc:
        raise UsageError(f"{path}: cannot be written: {exc.strerror}") from exc
    return folder


def own_run(name: str, *, started_ns: int, block_limit_ns: int) -> Run:
    """What a manifest would say of this process, which is judged by itself, without a record."""
    return Run(
        id="",
        scenario=name,
        started="",
        started_ns=started_ns,
        seed=0,
        python=platform.python_version(),
        commit="",
        command=tuple(sys.orig_argv),
        block_limit_ns=block_limit_ns,
    )


def new_id(name: str) -> str:
    """A run id that sorts by time and reads well: ``20261122-125831-first-7f3a90c2``."""
    # Of thirty runs that start in the same second, two would share 16 bits once in 150 times.
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{name}-{os.urandom(4).hex()}"


def now_ns() -> int:
    """The current time by the record's clock."""
    return monotonic_ns()
