"""Looks from outside by the standard library's own sampler, which Python has from 3.15 on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.drive.process import examination
from harness.drive.profilers import look, tachyon
from harness.drive.profilers.outside_stacks import OutsideStack, events
from harness.record.event import (
    Frame,
    FrameTable,
    HungProcessEnded,
    Sampled,
    ThreadDump,
    ThreadsDumped,
)
from tests.support.commanded import Ended, harness, wait
from tests.support.process import Heard
from tests.support.pythons import needs_python
from tests.support.recorded import recorded

# Holds the loop by code that keeps the GIL, and that no signal interrupts.
HELD = """
    import asyncio, sys, threading, time

    def hold():
        sum(range(int(sys.argv[1])))

    def sleep():
        time.sleep(60)

    async def waits():
        await asyncio.Event().wait()

    async def group():
        await asyncio.gather(waits(), waits())

    async def main():
        kept = [asyncio.create_task(waits(), name=f"waiter-{n}") for n in range(20)]
        kept.append(asyncio.create_task(group(), name="outer"))
        threading.Thread(target=sleep, name="sleeper", daemon=True).start()
        await asyncio.sleep(0.1)
        print("holds", flush=True)
        hold()

    asyncio.run(main())
"""
FOREVER, A_SECOND = 10**12, 10**8


@pytest.fixture
def newest() -> str:
    return needs_python("3.15")


@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = tmp_path / "held.py"
    path.write_text(dedent(HELD))
    return path


def artefacts(ended: Ended) -> dict[str, str]:
    """What the profiler has left: a note by path."""
    return {made["path"]: made["note"] for made in ended.report["profile"]["artefacts"]}


def test_tasks_and_the_holder_of_the_gil_are_seen_from_outside(
    newest: str, held: Path, tmp_path: Path
) -> None:
    """Nothing of the process can run, and yet the record has its tasks, its threads and the line."""
    ended = harness("watch", "--hang-exit", "1", "--", newest, held, str(FOREVER), cwd=tmp_path)

    (end,) = recorded(ended.folder.events, HungProcessEnded)
    names = {name for group in end.tasks for name in group.tasks}
    assert {dump.by for dump in recorded(ended.folder.events, ThreadsDumped)} == {"profiling.sampling"}
    assert (end.by, end.signal, end.error) == ("runner", "SIGKILL", "")
    assert {*(f"waiter-{n}" for n in range(20)), "outer"} <= names
    assert len(names) == end.pending == 24
    (hang,) = ended.report["hangs"]
    assert (hang["seen_by"], hang["function"]) == ("profiling.sampling", "hold")
    assert [thread["thread"] for thread in hang["exit"]["threads"]] == ["MainThread", "sleeper"]
    assert ended.report["profile"]["looks"][0]["by"] == "profiling.sampling"


# A thread holds the GIL for a tenth of a second or little more in one call in C; then it ends.
SHORT = """
    import asyncio, threading, time

    NUMBER = 3 ** 10_000

    def took(exponent):
        began = time.perf_counter()
        NUMBER ** exponent
        return time.perf_counter() - began

    def convert():
        NUMBER ** exponent

    async def main():
        await asyncio.sleep(1.5)
        thread = threading.Thread(target=convert, name="converter")
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.01)

    exponent = 20
    while took(exponent) < 0.1:
        exponent += exponent // 4
    asyncio.run(main())
"""


def test_a_short_hold_of_the_gil_is_seen_while_it_lasts(newest: str, tmp_path: Path) -> None:
    """The sampler stands by: to start it would take longer than this block, and its thread would be gone."""
    path = tmp_path / "short.py"
    path.write_text(dedent(SHORT))

    ended = harness("watch", "--block-ms", "50", "--", newest, path, cwd=tmp_path)

    longest = max(ended.report["blocks"], key=lambda block: block["held_ms"])
    assert (longest["cause"], longest["function"]) == ("gil", "convert")
    assert [culprit["thread"] for culprit in longest["culprits"]] == ["converter"]


def test_a_recording_leaves_its_pages_and_joins_the_samples(newest: str, held: Path, tmp_path: Path) -> None:
    """`--profiler tachyon`: the recording, a flame graph and a heatmap, and the lines in our own."""
    ended = harness("watch", "--profiler", "tachyon", "--", newest, held, str(A_SECOND), cwd=tmp_path)

    kept = {Path(path).name: note for path, note in artefacts(ended).items()}
    assert any(name.endswith(".bin") and "Error rate" in note for name, note in kept.items()), kept
    assert kept.get("index.html") == "heatmap of source lines"
    assert "flame graph" in kept.values()
    assert all((ended.folder.path / path).exists() for path in artefacts(ended))
    frames = {frame for table in recorded(ended.folder.events, FrameTable) for frame in table.frames}
    assert any(frame.function == "hold" and frame.file == str(held) for frame in frames)
    sampled = [one for one in recorded(ended.folder.events, Sampled) if one.way == "outside"]
    assert {one.thread for one in sampled} == {"MainThread", "sleeper"}
    assert {one.hz for one in sampled} == {1000.0}


def test_attach_records_by_the_targets_own_python(newest: str, held: Path, tmp_path: Path) -> None:
    """`attach --sample` needs no py-spy there."""
    with Heard(
        [newest, str(held), str(FOREVER)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "holds\n"
        ended = harness("attach", process.pid, "--sample", "1", cwd=tmp_path)
        process.kill()

    assert ended.status == 0, ended.stderr
    assert any("hold" in line for line in ended.stdout.splitlines()[1:3])
    assert list(ended.folder.artefacts.glob("tachyon-*.bin"))


def test_a_look_into_an_older_python_is_by_py_spy(held: Path) -> None:
    """The interface is one; what can read the process answers."""
    older = needs_python("3.13")
    with Heard([older, str(held), str(FOREVER)], text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "holds\n"
        try:
            seen = wait(lambda: found if (found := look.look(process.pid)).threads else None)
        except PermissionError as exc:
            pytest.skip(str(exc))
        finally:
            tasks = look.tasks(process.pid)
            process.kill()

    assert seen.by == "py-spy"
    (holder,) = [thread for thread in seen.threads if thread.has_gil]
    assert (holder.native_id, holder.stack[-1].function) == (process.pid, "hold")
    assert tasks is None


def test_an_older_python_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Status 2, with what it is, what is needed, and what to use."""
    older = needs_python("3.13")
    ended = harness("watch", "--profiler", "tachyon", "--", older, "-c", "pass", cwd=tmp_path)

    assert ended.status == 2
    assert "--profiler tachyon: it needs Python 3.15 or later, and" in ended.stderr
    assert "is 3.13" in ended.stderr
    assert "--profiler pyspy" in ended.stderr
    assert not ended.folder.path.exists()


@pytest.mark.long
def test_an_older_python_behind_a_launcher_is_said_in_the_report(held: Path, tmp_path: Path) -> None:
    """What cannot be known before is a note: no recording, and why."""
    older = needs_python("3.13")
    ended = harness(
        *("watch", "--profiler", "tachyon", "--", "sh", "-c", f"{older} {held} {A_SECOND}"), cwd=tmp_path
    )

    assert ended.status == 0
    (note,) = artefacts(ended).values()
    assert "runs Python 3.13, and profiling.sampling needs 3.15" in note


DUMP = """\
Stack dump for PID 7, thread 9 (idle; most recent call last):
  <native>
  File "/usr/lib/python3.15/threading.py", line 1161, in Thread.run
    self._target(*self._args, **self._kwargs)
  File "/srv/a, b.py", line 5, in other
    File "x", line 1, in y

Stack dump, thread 7 (main thread, has GIL, on CPU; most recent call last):
  File "/srv/shop.py", line 14, in main
    hold()
  File "/srv/shop.py", line 3, in Cart.hold
"""


def test_a_dump_is_read_thread_by_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the state of each, outermost frame first; source lines are no frames."""
    monkeypatch.setattr(tachyon, "_dumped", lambda *_, by: DUMP)

    other, main = tachyon.dump(os.getpid())
    assert other.stack == (
        Frame("/usr/lib/python3.15/threading.py", 1161, "Thread.run"),
        Frame("/srv/a, b.py", 5, "other"),
    )
    assert (other.native_id, other.has_gil, other.active) == (9, False, False)
    assert main == ThreadDump(
        "", 7, True, True, (Frame("/srv/shop.py", 14, "main"), Frame("/srv/shop.py", 3, "Cart.hold"))
    )


def test_the_version_of_a_process_is_that_of_its_files() -> None:
    """Of this one it is known; what is no Python has none."""
    with subprocess.Popen(["sleep", "30"]) as other:
        assert examination.version_of(os.getpid()) == sys.version_info[:2]
        assert examination.version_of(other.pid) is None
        with pytest.raises(LookupError, match=f"process {other.pid} is no Python"):
            tachyon.interpreter(other.pid)
        other.kill()


def test_stacks_of_idle_threads_are_left_out() -> None:
    """One that waits in the selector is idle; one that sleeps is not."""
    idle = [Frame("/app/x.py", 1, "main"), Frame("/lib/selectors.py", 468, "EpollSelector.select")]
    busy = [Frame("/app/x.py", 1, "main"), Frame("/app/x.py", 5, "nap")]
    stacks = [OutsideStack(7, "MainThread", idle, 90), OutsideStack(7, "MainThread", busy, 10)]

    table, sampled = events(stacks, 123, 1000, first=50)
    assert isinstance(table, FrameTable)
    assert isinstance(sampled, Sampled)
    assert (table.first, table.frames) == (50, tuple(busy))
    assert (sampled.count, sampled.way, sampled.stack) == (10, "outside", 51)
