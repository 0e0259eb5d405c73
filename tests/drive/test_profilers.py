"""Profilers inside and beside a program: what they leave, what they say when they cannot, and no harm."""

from __future__ import annotations

import json
import os
import pstats
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.drive.profilers import collapsed, pyspy
from harness.drive.profilers.permission import PTRACE
from harness.read.formats import export
from harness.read.history import load
from harness.read.samples.sample import stack_samples
from harness.record.event import ArtefactWritten, Frame, FrameTable, Sampled
from harness.stacks.ownership import HARNESS
from tests.support.commanded import COMMAND, WITHOUT_PTRACE, Ended, harness, wait

BUSY = """
    import asyncio, sys, time

    def hold():
        time.sleep(0.03)

    async def main():
        end = time.monotonic() + float(sys.argv[1])
        while time.monotonic() < end:
            hold()
            await asyncio.to_thread(time.sleep, 0.01)
            await asyncio.sleep(0.02)

    asyncio.run(main())
"""


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    path = tmp_path / "busy.py"
    path.write_text(dedent(BUSY))
    return path


@pytest.fixture
def py_spy() -> None:
    found = Path(sys.executable).with_name("py-spy")
    if not found.exists() and not shutil.which("py-spy"):
        pytest.skip("py-spy is not installed")


def artefacts(ended: Ended) -> dict[str, Any]:
    return {made["tool"]: made for made in ended.report["profile"]["artefacts"]}


def skip_without_ptrace(note: str) -> None:
    if "ptrace" in note:
        pytest.skip(f"ptrace is not permitted here: {note}")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- asked for by name --------------------------------------------------------------------------------


def test_cprofile_counts_every_call(busy: Path, tmp_path: Path) -> None:
    """Its file lies in the run's folder, is listed in the report, and opens with `pstats`."""
    ended = harness("watch", "--profiler", "cprofile", "--", sys.executable, busy, "1", cwd=tmp_path)

    made = artefacts(ended)["cprofile"]
    stats = pstats.Stats(str(ended.folder.path / made["path"]))
    calls = {name: figures[0] for (_, _, name), figures in vars(stats)["stats"].items()}
    assert ended.status == 0
    assert 3 <= calls["hold"] <= 40
    assert "calls on the threads of loops" in made["note"]


def test_strace_sums_up_the_system_calls(busy: Path, tmp_path: Path) -> None:
    """A table by time, which has the call in which the program waits."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    ended = harness("watch", "--profiler", "strace", "--", sys.executable, busy, "2", cwd=tmp_path)

    made = artefacts(ended)["strace"]
    skip_without_ptrace(made["note"])
    assert ended.status == 0
    assert "clock_nanosleep" in (ended.folder.path / made["path"]).read_text()


def test_py_spy_joins_the_record_as_samples(py_spy: None, busy: Path, tmp_path: Path) -> None:
    """Recorded from the first loop to the end, without the time in which threads wait for work."""
    ended = harness("watch", "--profiler", "pyspy", "--", sys.executable, busy, "2.5", cwd=tmp_path)

    skip_without_ptrace(artefacts(ended)["py-spy"]["note"])
    samples = [sample for sample in stack_samples(load(ended.folder)) if sample.way == "outside"]
    # Of asyncio itself, at the end of `asyncio.run`: a busy machine may let it be seen.
    samples = [sample for sample in samples if not sample.thread.endswith("(_do_shutdown)")]
    of_loop = [sample for sample in samples if sample.thread == "MainThread"]
    holding = [s for s in of_loop if any(frame.function == "hold" for frame in s.stack)]
    assert {sample.thread for sample in samples} <= {"MainThread", "asyncio_0"}
    assert sum(s.count for s in holding) > 0.8 * sum(s.count for s in of_loop)
    assert "hold" in export(load(ended.folder), "collapsed")


def test_a_scenario_asks_for_the_same(tmp_path: Path, busy: Path) -> None:
    """`--sample` and `--profiler` are changes of the scenario, and stand in the run's manifest."""
    (tmp_path / "scenario.toml").write_text(
        f"[target]\nkind = 'program'\ncommand = ['{sys.executable}', '{busy}', '1']\n"
    )
    ended = harness(
        "run", "scenario.toml", "--sample", "200", "--profiler", "cprofile", "--profiler",
        "pyinstrument=no such span", cwd=tmp_path,
    )  # fmt: skip
    assert ended.status == 2
    assert "pyinstrument and cprofile" in ended.stderr

    ended = harness("run", "scenario.toml", "--sample", "200", "--profiler", "cprofile", cwd=tmp_path)
    settings = json.loads((ended.folder.path / "run.json").read_text())["settings"]
    assert (settings["probe"]["sample_hz"], settings["profile"]["cprofile"]) == (200, True)
    assert artefacts(ended)["cprofile"]["path"]
    assert ended.report["profile"]["sampler_hz"] == 200


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--profiler", "perf"], "no such profiler"),
        (["--profiler", "pyinstrument="], "expected the name of one span"),
        (["--profile-every", "3"], "need --profiler pyinstrument=SPAN"),
    ],
)
def test_what_cannot_be_profiled_is_a_usage_error(tmp_path: Path, options: list[str], why: str) -> None:
    """Nothing is started, and the message says what there is."""
    ended = harness("watch", *options, "--", sys.executable, "-c", "pass", cwd=tmp_path)

    assert ended.status == 2
    assert why in ended.stderr
    assert not ended.folder.path.exists()


def test_a_profiler_that_is_not_installed_is_named_with_its_remedy(tmp_path: Path) -> None:
    """Before anything is started."""
    ended = harness(
        "watch", "--profiler", "strace", "--", sys.executable, "-c", "pass",
        cwd=tmp_path, env={"PATH": str(tmp_path)},
    )  # fmt: skip

    assert ended.status == 2
    assert "--profiler strace: it is not installed" in ended.stderr
    assert "install the package strace" in ended.stderr


# --- pyinstrument -------------------------------------------------------------------------------------

SPANS = """
    import asyncio, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    span = trace.get_tracer("test").start_as_current_span

    def think(ms):
        end = time.perf_counter() + ms / 1000
        while time.perf_counter() < end:
            pass

    async def request(number):
        with span("request"):
            for _ in range(3):
                think(20 if number % 4 == 0 else 1)
                await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(request(number) for number in range(12)))
        for number in range(12):
            await request(number)
        await asyncio.sleep(0.5)

    asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "least", "most"),
    [([], 1, 1), (["--profile-every", "5"], 2, 4), (["--profile-slower-ms", "40"], 2, 4)],
)
def test_pyinstrument_dives_into_chosen_spans(
    tmp_path: Path, options: list[str], least: int, most: int
) -> None:
    """The first, every so manieth, or the slow ones; also where spans overlap; as a page and as a session."""
    pytest.importorskip("pyinstrument", reason="pyinstrument is not installed")
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    program = tmp_path / "spans.py"
    program.write_text(dedent(SPANS))
    ended = harness(
        "watch", "--profiler", "pyinstrument=request", *options, "--", sys.executable, program, cwd=tmp_path
    )

    made = [one for one in ended.report["profile"]["artefacts"] if one["tool"] == "pyinstrument"]
    assert ended.status == 0
    assert least <= len(made) <= most, made
    for one in made:
        page = ended.folder.path / one["path"]
        assert "request" in page.read_text()
        took_ms = float(one["note"].split()[-2])
        # It samples once in a millisecond of the processor.
        sampled = json.loads(page.with_suffix(".pyisession").read_text())["sample_count"]
        assert sampled > 10 if took_ms >= 40 else "--profile-slower-ms" not in options
    assert not [found for found in ended.report["findings"] if found["rule"] == "record"]


# --- a process that nobody prepared -------------------------------------------------------------------


def test_attach_records_a_process_that_nobody_prepared(py_spy: None, busy: Path, tmp_path: Path) -> None:
    """Its lines with the most samples, and files for flame graphs; afterwards it goes on as before."""
    with subprocess.Popen([sys.executable, busy, "20"]) as process:
        try:
            wait(lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 1)
            ended = harness("attach", process.pid, "--sample", "2", cwd=tmp_path)
            if ended.status == 4:
                skip_without_ptrace(ended.stderr)
            assert state_of(process.pid) in "RS"
        finally:
            process.kill()

    first = ended.stdout.splitlines()[1]
    files = {path.name for path in ended.folder.artefacts.iterdir()}
    assert ended.status == 0, ended.stderr
    assert "hold" in first
    assert {"profile.collapsed.txt", "profile.speedscope.json"} <= files


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="no Python 3.15 is recorded by py-spy")
@pytest.mark.parametrize("options", [[], pytest.param(["--native"], marks=pytest.mark.long)])
def test_a_py_spy_that_is_killed_leaves_the_process_running(
    py_spy: None, busy: Path, tmp_path: Path, options: list[str]
) -> None:
    """`kill -9` in the middle of a look: the process runs on, and the message is a clear one.

    For native frames py-spy stops the process for each look; without them it never does.
    """
    command = [*COMMAND, "attach", "--sample", "20", "--out", "run", *options]
    with subprocess.Popen([sys.executable, busy, "40"]) as process:
        try:
            wait(lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 1)
            attach = subprocess.Popen(
                [*command, str(process.pid)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
            )
            recorder = wait(lambda: recorder_of(attach.pid))
            if options:
                wait(lambda: attach.poll() is not None or has_stopped(recorder, process.pid))
                if attach.poll() is not None:
                    skip_without_ptrace(attach.communicate()[1])
                assert state_of(process.pid) == "t"
            else:
                looks = waits_of(recorder)
                seen = set()
                while waits_of(recorder) < looks + 100:
                    seen.add(state_of(process.pid))
                assert seen <= {"R", "S"}
            os.kill(recorder, signal.SIGKILL)
            _, stderr = attach.communicate(timeout=30)
            wait(lambda: state_of(process.pid) in "RS")
            computed = cpu_of(process.pid)
            wait(lambda: cpu_of(process.pid) > computed)
        finally:
            process.kill()

    assert attach.returncode == 4
    assert "no recording" in stderr


def has_stopped(recorder: int, pid: int) -> bool:
    """Stop py-spy in the middle of a look at process *pid*; false if it was between two."""
    if not any(state_of(pid) == "t" for _ in range(1000)):
        return False
    os.kill(recorder, signal.SIGSTOP)
    wait(lambda: state_of(recorder) == "T")
    if state_of(pid) == "t":
        return True
    os.kill(recorder, signal.SIGCONT)
    return False


def waits_of(pid: int) -> int:
    """How often a process has slept: py-spy does once per look."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def cpu_of(pid: int) -> int:
    """The CPU time of a process, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def recorder_of(pid: int) -> int | None:
    """The child of process *pid* that is py-spy."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")
            if int(fields[2].split()[1]) == pid and "py-spy" in fields[0]:
                return int(path.parent.name)
        except OSError:
            continue
    return None


def test_attach_says_what_it_cannot_record(py_spy: None, tmp_path: Path) -> None:
    """No such process, and one that is not Python: one clear message each."""
    nobody = harness("attach", "4194303", "--sample", "1", cwd=tmp_path)
    with subprocess.Popen(["sleep", "30"]) as process:
        other = harness("attach", process.pid, "--sample", "1", cwd=tmp_path)
        process.kill()

    assert (nobody.status, other.status) == (2, 4)
    assert "there is no such process" in nobody.stderr
    assert "no recording" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_attach_says_that_it_may_not_look_into_a_process(py_spy: None, busy: Path, tmp_path: Path) -> None:
    """What the kernel does not permit is told as that, with what would help; the process goes on."""
    with subprocess.Popen([sys.executable, busy, "20"]) as process:
        wait(lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 1)
        command = [*WITHOUT_PTRACE, *COMMAND, "attach", str(process.pid), "--sample", "1"]
        refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        state = state_of(process.pid)
        process.kill()

    assert (refused.returncode, state in "RS") == (4, True)
    assert "may not inspect the process (ptrace): run as root, set kernel.yama.ptrace_scope" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ("Error: Failed to find python\nReason: no such file\n", "Failed to find python; no such file"),
        ("thread 'main' panicked\nnote: run it again\n\n", "note: run it again"),
        ("Error: Permission Denied: Try running again with elevated permissions", PTRACE),
        ("\n", "no reason given"),
    ],
)
def test_why_py_spy_failed_is_told_in_its_own_words(errors: str, why: str) -> None:
    """What it calls an error and its reason, else its last line; what the kernel forbids, with the remedy."""
    assert pyspy._why(errors) == why


# --- py-spy's format ----------------------------------------------------------------------------------


def test_raw_stacks_become_samples() -> None:
    """Process, thread and frames, native ones too; stacks that wait for work or are the probe's are left out.

    What a fault does counts for the function that it was planted in.
    """
    loop = (
        "Runner.run (/lib/asyncio/runners.py:118);BaseEventLoop._run_once (/lib/asyncio/base_events.py:1922)"
    )
    fault = f"FaultHook.__call__ ({HARNESS}/probe/control/faulty_code.py:1)"
    serving = f"ControlServer._serve ({HARNESS}/probe/control/server.py:1)"
    text = "\n".join(
        [
            f'process 7:"python a;b.py";thread (7): MainThread;{loop};main (/app/a b.py:5) 30',
            f'process 7:"python x.py";thread (7): MainThread;{loop};E.select (/lib/selectors.py:468) 60',
            'process 7:"python x.py";thread (8): pool_0;_worker (/lib/concurrent/futures/thread.py:81) 90',
            f"thread (7): MainThread;handle (/app/x.py:1);{fault};_burn ({HARNESS}/record/a.py:9) 5",
            f"thread (9): 9;Background._run ({HARNESS}/record/hidden_thread.py:1);{serving} 6",
            "thread (0x7F): worker;handle (/app/x.py:1);PyObject_Call 4",
            "not a line of it",
            "",
        ]
    )

    calls, nobody, *samples = collapsed.events(text, 123, 100)
    assert isinstance(calls, FrameTable)
    assert isinstance(nobody, FrameTable)
    assert calls.frames[-1] == Frame("/app/a b.py", 5, "main")
    assert nobody.frames == (
        Frame("/app/x.py", 1, "handle"),
        Frame("", 0, "PyObject_Call"),
    )
    assert [(s.pid, s.thread, s.count, s.way) for s in samples if isinstance(s, Sampled)] == [
        (7, "MainThread", 30, "outside"),
        (0, "MainThread", 5, "outside"),
        (0, "worker", 4, "outside"),
    ]


def test_the_record_lists_what_was_left(py_spy: None, busy: Path, tmp_path: Path) -> None:
    """A program without a loop: the profilers say that there was nothing to record."""
    ended = harness("watch", "--profiler", "pyspy", "--", sys.executable, "-c", "pass", cwd=tmp_path)

    (written,) = load(ended.folder).of(ArtefactWritten)
    assert (written.path, written.note) == ("", "nothing to record: no loop ran")
