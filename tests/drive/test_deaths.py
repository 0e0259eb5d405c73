"""Processes that end while their loop is blocked, in every way there is: each block has its true length.

All of them run under one `watch`, as children of a program that kills some of them and lives on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.record.event import DumpFailed, LoopSampled, WriterOpened
from harness.record.run import read_manifest
from harness.record.run_folder import RunFolder
from tests.support.commanded import COMMAND
from tests.support.recorded import recorded

pytestmark = pytest.mark.slow

# The parent of those that die lives on for much longer.
LINGERS_MS = 500
# The harness as it is where py-spy is not installed.
WITHOUT_PY_SPY = (
    *(sys.executable, "-c"),
    "import runpy; from harness.drive.profilers import pyspy; pyspy.program = lambda: None;"
    "runpy.run_module('harness', run_name='__main__', alter_sys=True)",
)

# What dies: `child.py WAY LOOP`. It notes in a file when its loop was blocked from, and, where it can, until.
CHILD = """
import asyncio, ctypes, faulthandler, os, re, resource, signal, sys, threading, time

way, loop = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
truth = open(f"{way}-{loop}", "w")

def note():
    truth.write(f"{time.monotonic_ns()}\\n")
    truth.flush()

def lookup():
    note()
    if way.startswith("gil"):
        re.match("(a+)+$", "a" * 60 + "b")
    threading.Event().wait()

def end():
    time.sleep(1)
    note()
    match way:
        case "exit": os._exit(1)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "abort": os.abort()
        case "segv": ctypes.string_at(0)

async def waiting():
    while True:
        await asyncio.sleep(0.02)

async def main():
    others = [asyncio.create_task(waiting(), name=f"request-{n}") for n in range(3)]
    await asyncio.sleep(0.3)
    match way:
        case "idle":
            note()
            await asyncio.sleep(60)
        case "recovered":
            note()
            time.sleep(0.3)
            note()
            await asyncio.sleep(0.02)
            print("recovered", flush=True)
            await asyncio.sleep(60)
        case "own-exit":
            note()
            time.sleep(0.3)
            note()
            os._exit(1)
        case "faulthandler":
            faulthandler.dump_traceback_later(1, exit=True, file=open(os.devnull, "w"))
        case "exit" | "sigkill" | "abort" | "segv":
            threading.Thread(target=end, daemon=True).start()
    lookup()

if loop == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""

# What starts them all, kills those that do not die by themselves, and lives on.
PARENT = """
import pathlib, signal, subprocess, sys, time

def noted(way, loop):
    path = pathlib.Path(f"{way}-{loop}")
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\\n")):
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
    return path, int(path.read_text().split()[0])

children = {
    tuple(name.split("-asyncio")[0].split("-uvloop")[:1]) + (name.rpartition("-")[2],): None
    for name in sys.argv[1:]
}
for way, loop in children:
    children[way, loop] = subprocess.Popen(
        [sys.executable, "child.py", way, loop], stdout=subprocess.PIPE, text=True
    )
if recovered := children.get(("recovered", "asyncio")):
    recovered.stdout.readline()
    recovered.kill()
for (way, loop), child in children.items():
    if way in ("killed", "terminated", "idle", "gil"):
        path, began_ns = noted(way, loop)
        time.sleep(max(0, began_ns / 1e9 + 1 - time.monotonic()))
        with path.open("a") as file:
            file.write(f"{time.monotonic_ns()}\\n")
        child.send_signal(signal.SIGTERM if way == "terminated" else signal.SIGKILL)
for child in children.values():
    child.wait(30)
time.sleep(2)
"""


@dataclass(frozen=True)
class Deaths:
    """One watch of children that died."""

    report: dict[str, Any]
    folder: RunFolder
    cwd: Path

    def pid(self, way: str, loop: str) -> int:
        opened = recorded(self.folder.events, WriterOpened)
        return next(event.pid for event in opened if event.command[-2:] == (way, loop))

    def blocks(self, way: str, loop: str) -> list[dict[str, Any]]:
        """The blocks since the child said what it does; before, a busy machine may have held its loop."""
        began_ns = int((self.cwd / f"{way}-{loop}").read_text().split()[0])
        began_s = (began_ns - read_manifest(self.folder).started_ns) / 1e9
        pid = self.pid(way, loop)
        found = [block for block in self.report["blocks"] if block["pid"] == pid]
        return [block for block in found if block["at_s"] + block["held_ms"] / 1e3 > began_s + 0.05]

    def really_ms(self, way: str, loop: str) -> float:
        """How long the child was blocked by its own clock and its parent's; one that could not say: 1 s."""
        began_ns, *ended_ns = map(int, (self.cwd / f"{way}-{loop}").read_text().split())
        return (ended_ns[0] - began_ns) / 1e6 if ended_ns else 1000


def is_true_length(held_ms: float, really_ms: float) -> bool:
    """Whether the block lasted until the process was ended, or soon after, when it was gone."""
    return really_ms - 60 < held_ms < really_ms + LINGERS_MS


def died(cwd: Path, *names: str, harness: tuple[str, ...] = COMMAND) -> Deaths:
    """Let these children die under one watch of this *harness*."""
    (cwd / "child.py").write_text(dedent(CHILD))
    (cwd / "parent.py").write_text(dedent(PARENT))
    command = [*harness, "watch", "--out", "run", "--", sys.executable, "parent.py", *names]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    folder = RunFolder(cwd / "run")
    return Deaths(json.loads((folder.path / "report.json").read_text()), folder, cwd)


WAYS = (
    *("exit-asyncio", "sigkill-asyncio", "abort-asyncio", "segv-asyncio", "faulthandler-asyncio"),
    *("killed-asyncio", "terminated-asyncio", "gil-asyncio", "own-exit-asyncio", "recovered-asyncio"),
    *("idle-asyncio", "exit-uvloop", "killed-uvloop", "idle-uvloop"),
)


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> Deaths:
    """All ways of dying."""
    pytest.importorskip("uvloop")
    return died(tmp_path_factory.mktemp("deaths"), *WAYS)


@pytest.mark.parametrize("name", [name for name in WAYS if name.split("-")[0] not in ("idle", "recovered")])
def test_a_process_that_dies_in_a_block_has_it_at_its_true_length(name: str, deaths: Deaths) -> None:
    """With its line, and with those who waited; the time that its parent lives on is not the block's."""
    way, _, loop = name.rpartition("-")
    (block,) = deaths.blocks(way, loop)

    assert is_true_length(block["held_ms"], deaths.really_ms(way, loop))
    assert block["ended"] is False
    # The probe could not run; nor could py-spy, perhaps, on a busy machine.
    unnamed = ["<code that holds the GIL>"] if way == "gil" else []
    assert block["function"] in ["main" if way == "own-exit" else "lookup", *unnamed]
    if way == "gil":
        assert block["cause"] in ("cpu", "descheduled")  # on a machine without a free processor
    elif loop == "asyncio":
        waited_ms = {v["task"]: v["delayed_ms"] for v in block["victims"] if v["task"].startswith("request")}
        assert len(waited_ms) == 3
        assert block["held_ms"] - 100 < min(waited_ms.values())
        assert max(waited_ms.values()) < block["held_ms"] + 100  # a part of the turn before the call


def test_a_process_that_is_killed_soon_after_a_block_has_the_block_and_no_more(deaths: Deaths) -> None:
    """The end of the block was not written any more: the page of the loop has it."""
    (block,) = deaths.blocks("recovered", "asyncio")

    assert block["held_ms"] == pytest.approx(deaths.really_ms("recovered", "asyncio"), abs=15)
    assert (block["function"], block["ended"]) == ("main", True)
    assert not any("not recorded" in found["message"] for found in deaths.report["findings"])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_process_that_is_killed_while_its_loop_waits_has_no_block(loop: str, deaths: Deaths) -> None:
    """What a machine without a free processor does to it aside."""
    assert [block for block in deaths.blocks("idle", loop) if block["cause"] != "descheduled"] == []


def test_a_dead_process_is_not_sampled_and_its_loop_has_run_until_its_end(deaths: Deaths) -> None:
    """Its page remains, and its parent lives on for seconds."""
    loop = deaths.report["loop"]
    longest_ms = max(block["held_ms"] for block in deaths.report["blocks"])
    assert loop["lag_ms"]["max"] == pytest.approx(longest_ms, abs=5)  # uvloop's are known to the millisecond
    assert loop["ran_s"] < 2.2 * len(WAYS)
    gone_ns = {way: deaths.really_ms(way, "asyncio") for way in ("killed", "gil")}
    for way in gone_ns:
        began_ns = int((deaths.cwd / f"{way}-asyncio").read_text().split()[0])
        seen = [
            e.at_ns
            for e in recorded(deaths.folder.events, LoopSampled)
            if e.pid == deaths.pid(way, "asyncio")
        ]
        assert (max(seen) - began_ns) / 1e6 < gone_ns[way] + LINGERS_MS


@pytest.mark.long
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="no Python 3.15 is looked at by py-spy")
def test_code_that_holds_the_gil_until_the_kill_is_a_block_without_py_spy_too(tmp_path: Path) -> None:
    """The line is unknown then, but not the length, nor that the loop's own thread computed."""
    deaths = died(tmp_path, "gil-asyncio", harness=WITHOUT_PY_SPY)

    assert recorded(deaths.folder.events, DumpFailed)
    (block,) = deaths.blocks("gil", "asyncio")
    assert is_true_length(block["held_ms"], deaths.really_ms("gil", "asyncio"))
    assert (block["function"], block["file"]) == ("<code that holds the GIL>", "")
    assert block["cause"] in ("cpu", "descheduled")  # on a machine without a free processor
