"""However a Python program is started: it is watched, or the report has the true reason why it was not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.starts.watched_ways import Started, can_start, prepared, watch_all
from tests.starts.ways import WAYS, Way
from tests.support.commanded import COMMAND, Ended, harness

# Each is one run, so that they can go side by side.
GROUPS = 4
# What these print is their own, and not the harness's.
OWN_WORDS = "nohup: ignoring input\n"


@pytest.mark.parametrize("group", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, GROUPS))])
def test_a_start_is_watched_or_explained(group: int) -> None:
    """A watched one has its block, another one its reason; the programs themselves notice nothing."""
    ways = WAYS[group::GROUPS]
    with prepared({way.needs for way in ways}) as (folder, env):
        possible = [way for way in ways if can_start(way, env)]
        table = watch_all(possible, folder, env)

    wrong = {way.name: list(complaints(way, table.by_way[way.name])) for way in possible}
    assert {name: found for name, found in wrong.items() if found} == {}
    lost = [row for row in table.report["processes"] if row["may_have_looped"]]
    count = f"{len(lost)} of {len(table.report['processes'])} processes were not watched: "
    assert table.first_line.startswith(f"invalid Invalid measurement ({count}")
    assert table.status == 3
    assert all(row["remedy"] for row in lost)


def complaints(way: Way, started: Started) -> Iterator[str]:
    """What is wrong with one way."""
    said = (started.status, started.stderr.replace(OWN_WORDS, ""), started.stdout.count("done"))
    if way.prints and said != (0, "", 1):
        yield f"the program noticed: {said}"
    watched, reasons = started.watched(), started.reasons()
    if way.why_not:
        if not re.search(way.why_not, reasons):
            yield f"expected the reason {way.why_not!r}, found {reasons!r}"
        if watched and way.name != "supervisor":
            yield f"was watched: {watched}"
        return
    if len(watched) != 1 or started.blocked_pids != {watched[0]["pid"]}:
        yield f"expected one process with the block, found {started.blocked_pids} in {started.processes}"
    for row in watched:
        if way.entered_by not in ("", row["entered_by"]) or row["exit"] is None or not row["python"]:
            yield f"not so: {row}"
    if any(row["may_have_looped"] for row in started.processes):
        yield f"an alarm about nothing: {reasons}"


LOOP = "import asyncio; asyncio.run(asyncio.sleep(0.1))"
HELPER = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', 'print(1)'])\n" + LOOP.replace(
    "; ", "\n"
)
ALONE = {
    "isolated": ([sys.executable, "-I", "-c", LOOP], 3, r"-I \(isolated mode\)"),
    "not Python": (["sleep", "0.1"], 3, "not a Python program"),
    "no loop": ([sys.executable, "-c", "print(1)"], 3, "no event loop"),
    # A short helper without a loop is no reason to doubt.
    "helper": ([sys.executable, "-c", HELPER], 0, "No block"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_was_not_seen_does_not_pass(name: str, tmp_path: Path) -> None:
    """A condition about the loop ends with 3 where none was watched, and the reason stands in three lines."""
    command, status, reason = ALONE[name]
    ended = harness("watch", "--fail-on", "blocks.count > 0", "--", *command, cwd=tmp_path)

    assert (ended.status, bool(re.search(reason, "\n".join(ended.stderr.splitlines()[:3])))) == (
        status,
        True,
    ), ended


DAEMON = """
import asyncio
async def main():
    print(flush=True)
    await asyncio.sleep(8)
asyncio.run(main())
"""
OUTLIVED = f"""
import asyncio, subprocess, sys
async def main():
    daemon = [sys.executable, "-c", {DAEMON!r}]
    started = subprocess.Popen(daemon, stdout=subprocess.PIPE, start_new_session=True)
    started.stdout.readline()
    print(started.pid)
asyncio.run(main())
"""


@pytest.mark.long
def test_a_daemon_that_outlives_the_run_is_named(tmp_path: Path) -> None:
    """Its loop was watched until then; what comes later is not in the record, and the report says so."""
    command = [*COMMAND, "watch", "--out", "run", "--", sys.executable, "-c", OUTLIVED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    try:
        Path(f"/proc/{pid}/stat").read_bytes()  # it lives
    finally:
        subprocess.run(["kill", str(pid)], check=True)

    assert (
        f"outlived the run, and what came later is not recorded: `{Path(sys.executable).name} -c"
        in done.stderr
    )
    assert f"(process {pid})" in done.stderr


def report_of(ended: Ended) -> dict[str, tuple[str | None, bool]]:
    """How each process of Python was entered, and whether it was watched; by its options."""
    return {
        row["command"][1]: (row["entered_by"], row["watched"])
        for row in ended.report["processes"]
        if row["python"]
    }


SUPERVISOR = """
import subprocess, sys
loop = "import asyncio; asyncio.run(asyncio.sleep(0.4))"
for options, env in ((["-I"], None), (["-E"], None), (["-B"], {})):
    subprocess.run([sys.executable, *options, "-c", loop], env=env, check=True)
"""


def test_an_enabled_environment_lets_the_probe_in_while_a_run_asks(tmp_path: Path) -> None:
    """Isolated programs and those with a clean environment are watched; without a run nothing is."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], cwd=tmp_path, check=True)
    before = sorted(tmp_path.rglob("*"))
    python = str(tmp_path / "venv/bin/python")
    enabled = subprocess.run([*COMMAND, "enable", "venv"], cwd=tmp_path, capture_output=True, text=True)
    bare = "import sys; print([name for name in sys.modules if 'harness' in name])"
    apart = subprocess.run([python, "-I", "-c", bare], capture_output=True, text=True)

    ended = harness("watch", "--", python, "-c", SUPERVISOR, cwd=tmp_path)
    disabled = subprocess.run([*COMMAND, "disable", "venv"], cwd=tmp_path, capture_output=True, text=True)
    again = harness("watch", "--", python, "-c", SUPERVISOR, cwd=tmp_path, out="again")

    assert enabled.stdout.startswith("wrote ")
    assert (apart.stdout, apart.stderr) == ("[]\n", "")
    assert report_of(ended) == {
        "-c": ("pth", False),  # the supervisor has no loop
        "-I": ("pth", True),
        "-E": ("pth", True),
        "-B": ("pth", True),
    }
    assert disabled.stdout.startswith("removed ")
    assert {name: how for name, how in report_of(again).items() if name != "-c"} == dict.fromkeys(
        ("-I", "-E", "-B"), (None, False)
    )
    left = sorted(path for path in tmp_path.rglob("*") if path.is_relative_to(tmp_path / "venv"))
    assert [path for path in left if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ]


def test_an_enabled_environment_survives_the_harness(tmp_path: Path) -> None:
    """Its programs start as before when the harness is gone, even while a run asks."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], cwd=tmp_path, check=True)
    subprocess.run([*COMMAND, "enable", "venv"], cwd=tmp_path, check=True, capture_output=True)
    (line,) = tmp_path.rglob("harness-probe.pth")
    line.write_text(re.sub(r"_f = '[^']*'", "_f = '/gone/pth_entry.py'", line.read_text()))
    done = subprocess.run(
        [str(tmp_path / "venv/bin/python"), "-X", "dev", "-c", "print('well')"],
        env={"HARNESS_PROBE": "folder=/gone\nlimit_ns=1"},
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("well\n", "")


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_what_is_no_environment_is_refused(command: str, tmp_path: Path) -> None:
    """One line says what was expected, and the status is 2."""
    done = subprocess.run([*COMMAND, command, str(tmp_path)], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith(f"harness: {tmp_path}: no Python environment\n")
