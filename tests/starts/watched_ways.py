"""Starts programs in many ways at once under one `harness watch`, and reads what its report says of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.starts.ways import AS_NOBODY, Way, write_files
from tests.support.commanded import COMMAND
from tests.support.pythons import find_python

# Starts the lines of a file, a few at a time, and writes how each ended.
LAUNCHER = """
import json, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
def start(item):
    name, line = item
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return name, [done.returncode, done.stdout, done.stderr]
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    ends = dict(pool.map(start, json.load(open("lines.json")).items()))
json.dump(ends, open("ends.json", "w"))
"""
AT_ONCE = 6


@dataclass(frozen=True)
class Started:
    """What became of one way."""

    status: int
    stdout: str
    stderr: str
    processes: list[dict[str, Any]]  # its rows of the report
    blocked_pids: set[int]

    def watched(self) -> list[dict[str, Any]]:
        return [process for process in self.processes if process["watched"]]

    def reasons(self) -> str:
        """Why the others were not."""
        return " | ".join(process["why_not"] for process in self.processes if not process["watched"])


@dataclass(frozen=True)
class Table:
    """The report on many ways, and the first line of its summary."""

    status: int
    first_line: str
    report: dict[str, Any]
    by_way: dict[str, Started]


def mark(way: Way) -> str:
    """What identifies the way's processes; a name that `pytest -k` accepts."""
    return f"way_{way.name.replace('-', '_')}"


def line(way: Way) -> str:
    """The line for the shell, with the mark."""
    text = way.line if "{name}" in way.line or not way.marked else f"{way.line} {{name}}"
    return text.replace("{name}", mark(way))


@contextmanager
def prepared(needed: Iterable[str] = ()) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the programs, open to other users, and the variables that are *needed* and can be had."""
    with tempfile.TemporaryDirectory(prefix="starts-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_files(folder, sys.executable)
        yield folder, {**variables(folder, set(needed)), "HOME": str(folder)}


def variables(folder: Path, needed: set[str]) -> dict[str, str]:
    """The Pythons for the lines."""
    base = getattr(sys, "_base_executable", "")
    found = {"PY": sys.executable, "BASE": base if base != sys.executable else ""}
    found["OLD"] = find_python("3.10") or find_python("3.9") or ""
    if "ENABLED" in needed:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "enabled"], cwd=folder, check=True)
        subprocess.run([*COMMAND, "enable", "enabled"], cwd=folder, check=True, capture_output=True)
        found["ENABLED"] = str(folder / "enabled/bin/python")
    return {name: value for name, value in found.items() if value}


def can_start(way: Way, env: dict[str, str]) -> bool:
    """Whether this machine has what the way needs."""
    match way.needs:
        case "":
            return True
        case "root":
            return os.geteuid() == 0
        case "nobody":
            # A Python whose library lies in a folder of root's is none for another user.
            alone = [*AS_NOBODY.split(), env["PY"], "-c", ""]
            return os.geteuid() == 0 and subprocess.run(alone, capture_output=True).returncode == 0
    return way.needs in env


def watch_all(ways: Sequence[Way], folder: Path, env: dict[str, str]) -> Table:
    """Start all the ways under one `harness watch`."""
    (folder / "lines.json").write_text(json.dumps({way.name: line(way) for way in ways}))
    (folder / "launcher.py").write_text(LAUNCHER)
    out = folder / "run"
    command = [*COMMAND, "watch", "--out", str(out), "--fail-on", "run.duration_s > 9999", "--"]
    done = subprocess.run(
        [*command, sys.executable, "launcher.py", str(AT_ONCE)],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
    )
    report = json.loads((out / "report.json").read_text())
    ends = json.loads((folder / "ends.json").read_text())
    by_way = {way.name: _started(way, report, out, ends[way.name]) for way in ways}
    return Table(done.returncode, done.stderr.splitlines()[0], report, by_way)


def _started(way: Way, report: dict[str, Any], out: Path, end: list[Any]) -> Started:
    rows, blocked = of_way(way, report["processes"]), blocked_pids(out)
    status, stdout, stderr = end
    return Started(status, stdout, stderr, rows, blocked & {row["pid"] for row in rows})


def of_way(way: Way, processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The processes whose command has the way's mark, and their descendants."""
    ours: list[dict[str, Any]] = []
    for row in processes:
        has_mark = any(mark(way) in word.split() for word in row["command"])
        if has_mark or row["parent"] in {other["pid"] for other in ours}:
            ours.append(row)
    return ours


def blocked_pids(out: Path) -> set[int]:
    """The processes that recorded the block of `app.py`."""
    found = set()
    for path in (out / "events").glob("target-*.jsonl"):
        for text in path.read_text().splitlines():
            event = json.loads(text)
            if event["e"] == "Blocked" and event["held_ns"] > 100e6:
                found.add(event["pid"])
    return found


def scripts() -> str:
    """The folder of this environment's scripts."""
    return sysconfig.get_path("scripts")
