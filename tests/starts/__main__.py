"""Starts a program in every way, one by one, and prints the table: `python -m tests.starts CACHE [NAME...]`.

Each way runs under a `harness watch --fail-on "blocks.count > 0"` of its own. What is watched has its block
found, so the status is 1; for everything else the status is 3, and the true reason stands in the first three
lines. CACHE is a folder for the environments, some 800 MB; they are made once. Ends with 1 if a way is wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.starts.long_ways import ENVIRONMENTS, LONG_WAYS, Server, prepare
from tests.starts.watched_ways import blocked_pids, can_start, line, mark, prepared
from tests.starts.ways import WAYS, Way
from tests.support.commanded import COMMAND
from tests.support.pythons import find_python

# A server that is not watched is given this time to start its workers.
PATIENCE_S = 12.0


def environments(cache: Path) -> dict[str, str]:
    """The folders of scripts of all environments, by variable."""
    found = {}
    for name, packages in ENVIRONMENTS.items():
        path = cache / name.lower()
        if not (path / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", path], check=True)
            pip = [str(path / "bin/pip"), "install", "-q", "--disable-pip-version-check", *packages.split()]
            subprocess.run(pip, check=True)
            (path / "ready").touch()
        found[name] = str(path / "bin")
        (found[f"{name}_SITE"],) = map(str, path.glob("lib/python3.*/site-packages"))
    for version in ("3.6", "3.12", "3.13"):
        found[f"PYTHON{version.replace('.', '')}"] = find_python(version) or ""
    found["PYTHON2"] = next(iter(map(str, Path.home().glob(".pyenv/versions/2.*/bin/python"))), "")
    return found


def run(way: Way, folder: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """Watch one way; the status, what is wrong or "", and the first line of the summary."""
    out = folder / f"run-{mark(way)}"
    command = [
        *COMMAND,
        "watch",
        "--out",
        str(out),
        "--fail-on",
        "blocks.count > 0",
        "--",
        "sh",
        "-c",
        line(way),
    ]
    with (folder / "stdout").open("w+") as stdout, (folder / "stderr").open("w+") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        if isinstance(way, Server):
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and not (out.exists() and blocked_pids(out)):
                time.sleep(0.2)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=90)
        stderr.seek(0)
        said = stderr.read()
    report = json.loads((out / "report.json").read_text())
    rows = report["processes"]
    start = next(
        (
            n
            for n, text in enumerate(said.splitlines())
            if re.match(r"(failed|invalid|passed|crashed|observed) ", text)
        ),
        0,
    )
    first = said.splitlines()[start : start + 3]
    reasons = " | ".join(row["why_not"] for row in rows if not row["watched"])
    wrong = []
    if way.why_not:
        if status != 3:
            wrong.append(f"status {status}, expected 3")
        if not re.search(way.why_not, " ".join(first)) and not (
            way.why_not.startswith("no event loop") and "detected no event loop" in first[0]
        ):
            wrong.append(f"the first lines do not give the reason {way.why_not!r}; known: {reasons[:300]}")
    else:
        if status != 1 or not blocked_pids(out):
            wrong.append(
                f"status {status}, expected 1; block in {len(blocked_pids(out))} processes; {reasons[:300]}"
            )
        if way.entered_by and way.entered_by not in {row["entered_by"] for row in rows}:
            wrong.append(f"not entered by {way.entered_by}")
    if wrong:
        wrong.append(f"stderr: {said[-600:]}")
    return status, "; ".join(wrong), first[0] if first else ""


def main() -> int:
    cache, names = Path(sys.argv[1]), set(sys.argv[2:])
    places = environments(cache)
    asked = [way for way in (*WAYS, *LONG_WAYS) if not names or way.name in names]
    bad = 0
    with prepared({way.needs for way in WAYS}) as (folder, env):
        prepare(folder, places)
        env |= places
        for way in asked:
            if not can_start(way, env):
                print(f"| {way.name} | – | cannot be had here: {way.needs} |", flush=True)
                continue
            try:
                status, wrong, first = run(way, folder, env)
            except Exception as exc:
                status, wrong, first = -1, f"{type(exc).__name__}: {exc}", ""
            bad += bool(wrong)
            told = "watched" if not way.why_not else way.why_not
            print(
                f"| {'WRONG' if wrong else 'ok'} | {way.name} | {status} | {told} | {wrong or first[:160]} |",
                flush=True,
            )
    print(f"{len(asked) - bad} of {len(asked)} ways right")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
