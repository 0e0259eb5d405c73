"""The ways in which a program ends without Python's exit handlers, and those that look like it."""

from __future__ import annotations

import pstats
import signal
import sys
from pathlib import Path

import pytest

from harness.record.event import ArtefactWritten, Blocked, ExitDelayed, LoopStarted, ProbeClosed, WriterClosed
from harness.record.page import read as read_page
from tests.support.commanded import harness
from tests.support.watched import Outcome, outcome, start, watched

PROGRAM = """
    import asyncio, json, os, signal, sys, threading, time

    def compute():
        return sum(range(1000))

    async def main():
        for _ in range(20):
            compute()
            await asyncio.sleep(0.002)
        IN_THE_LOOP

    asyncio.run(main())
    AFTER_IT
"""
# As uvicorn does: the handler of the server, a clean shutdown, the former action, and the signal again.
AGAIN = "signal.signal(signal.SIGTERM, print); signal.signal(signal.SIGTERM, signal.SIG_DFL); "
ENDS = {
    "os._exit": ("", "os._exit(3)", 3),
    "os._exit in the loop": ("os._exit(3)", "", 3),
    "os._exit in a thread": ("threading.Thread(target=os._exit, args=(3,)).start(); time.sleep(9)", "", 3),
    "raised again": ("", AGAIN + "signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM),
    "raised again in the loop": (AGAIN + "signal.raise_signal(signal.SIGTERM)", "", -signal.SIGTERM),
    "sent to itself": ("", AGAIN + "os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "killed by itself": (AGAIN + "os.kill(os.getpid(), signal.SIGKILL)", "", -signal.SIGKILL),
    "os.abort": ("", "os.abort()", -signal.SIGABRT),
    "exec": ("os.execvp('true', ['true'])", "", 0),
}


def run(in_the_loop: str, after_it: str, tmp_path: Path) -> Outcome:
    text = PROGRAM.replace("IN_THE_LOOP", in_the_loop).replace("AFTER_IT", after_it)
    return watched(text, tmp_path, cprofile=True)


@pytest.mark.parametrize("name", ENDS)
def test_a_process_that_ends_itself_leaves_a_whole_record(name: str, tmp_path: Path) -> None:
    """The cost, the profile and the last line are there, as after an ordinary end; the status is its own."""
    in_the_loop, after_it, status = ENDS[name]
    seen = run(in_the_loop, after_it, tmp_path)

    assert seen.status == status, seen.stderr
    assert seen.stderr == ""
    (source,) = seen.sources
    assert source.closed is not None
    assert source.closed.dropped == 0
    *_, cost = seen.of(ProbeClosed)  # `execvp` tries one folder after the other
    assert cost.turns > 20
    *_, profile = [event for event in seen.of(ArtefactWritten) if event.tool == "cprofile"]
    calls = pstats.Stats(str(seen.folder.path / profile.path)).stats  # type: ignore[attr-defined]
    assert [called[0] for (_, _, name), called in calls.items() if name == "compute"] == [20]


def test_a_process_that_is_ended_from_outside_is_cut_off(tmp_path: Path) -> None:
    """The default action of SIGTERM runs nothing in the process: the record does not pretend to be whole."""
    process, folder = start(
        PROGRAM.replace("IN_THE_LOOP", "print(flush=True); await asyncio.sleep(60)"), tmp_path
    )
    process.stdout.readline()
    process.terminate()
    seen = outcome(process, folder)

    assert seen.status == -signal.SIGTERM
    assert seen.sources[0].closed is None
    assert seen.of(ProbeClosed) == []


def test_a_program_that_lives_on_is_watched_on(tmp_path: Path) -> None:
    """An `exec` that fails, wrong arguments, a signal that is blocked: the record goes on to its real end."""
    program = """
        import asyncio, json, os, signal, time

        failed = []

        async def main():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            for end in (
                lambda: os.execvp("no such program", ["x"]),
                lambda: os._exit("no status"),
                lambda: os.kill("no pid", 15),
                lambda: os.kill(os.getpid(), signal.SIGUSR1),
                lambda: os.kill(os.getpid(), 0),
                lambda: signal.raise_signal(4711),
            ):
                try:
                    end()
                    failed.append("")
                except Exception as exc:
                    failed.append(type(exc).__name__)
            await asyncio.sleep(0.1)
            time.sleep(0.5)
            await asyncio.sleep(0.1)
            signal.sigtimedwait([signal.SIGUSR1], 1)

        asyncio.run(main())
        print(json.dumps(failed))
    """
    seen = watched(program, tmp_path, cprofile=True)

    assert seen.said == ["FileNotFoundError", "TypeError", "TypeError", "", "", "OSError"], seen.stderr
    assert max(block.held_ns for block in seen.of(Blocked) if block.ended) >= 499e6
    assert isinstance(seen.events[-1], WriterClosed)
    assert seen.sources[0].closed is seen.events[-1]
    page = read_page(seen.folder.path / seen.of(LoopStarted)[0].page)
    assert page is not None
    assert page.ran_ns > 250e6
    assert (page.since_ns, page.turn_ns) == (0, 0)


def test_the_functions_that_end_a_process_look_like_their_own(tmp_path: Path) -> None:
    """By name, type of call, signature and pickle."""
    program = """
        import asyncio, inspect, json, os, pickle, posix, signal
        told = []
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for module, name in ((os, "kill"), (os, "killpg"), (os, "abort"), (signal, "raise_signal")):
            function = getattr(module, name)
            told.append([
                function.__name__ == name,
                pickle.loads(pickle.dumps(function)) is function,
                str(inspect.signature(function)) == str(inspect.signature(getattr(posix, name, function))),
            ])
        print(json.dumps(told))
    """
    assert watched(program, tmp_path).said == [[True, True, True]] * 4


@pytest.mark.parametrize(
    ("after", "lasts"),
    [
        ("threading.Thread(target=time.sleep, args=(1.3,), name='mailer').start()", True),
        ("time.sleep(1.3)", False),
    ],
)
def test_time_after_the_loop_is_not_the_loops(after: str, lasts: bool, tmp_path: Path) -> None:
    """Nor that between two loops; and a thread that keeps the process running is named."""
    again = "time.sleep(0.3); asyncio.run(main()); "
    seen = watched(PROGRAM.replace("IN_THE_LOOP", "").replace("AFTER_IT", again + after), tmp_path)

    (started,) = seen.of(LoopStarted)
    page = read_page(seen.folder.path / started.page)
    assert page is not None
    assert 80e6 < page.ran_ns < 2 * 250e6
    assert page.stopped_ns - page.started_ns > 1.6e9
    named = [[thread.thread for thread in event.threads] for event in seen.of(ExitDelayed)]
    assert named == ([["mailer"]] if lasts else [])


LEAVING = """
import asyncio, signal, sys
async def main():
    await asyncio.sleep(0.3)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    await asyncio.sleep(0.3)
    signal.raise_signal(signal.SIGTERM)
asyncio.run(main())
"""
# In several processes: the watchdog does not always come to look in those milliseconds.
ALL_LEAVE = f"""
import subprocess, sys
started = [subprocess.Popen([sys.executable, "-c", {LEAVING!r}]) for _ in range(4)]
print([process.wait() for process in started])
"""


def test_what_the_probe_does_at_the_end_is_no_block_of_the_program(tmp_path: Path) -> None:
    """Its last lines, and what it has cost, are written in a turn of the loop, which takes milliseconds."""
    ended = harness("watch", "--block-ms", "2", "--", sys.executable, "-c", ALL_LEAVE, cwd=tmp_path)

    assert ended.stdout == f"{[-signal.SIGTERM] * 4}\n"
    assert ended.report["overhead"]["cpu_ratio"] is not None
    # On a machine without a free processor one may really have been late.
    left = [block for block in ended.report["blocks"] if not block["ended"] and block["function"] == "main"]
    assert len(left) <= 1


def test_no_collection_begins_in_the_probe_as_a_process_ends_itself(tmp_path: Path) -> None:
    """Of a large heap it takes longer than all that the probe still has to do.

    One may begin on the way there, of what other threads have made meanwhile; it is the program's.
    """
    program = """
        import asyncio, gc, os, sys

        def began(phase, info):
            frame, names = sys._getframe(1), []
            while frame is not None:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            if "_guarded" in names:
                os.write(1, f"{phase} in {names}".encode())

        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(100)]
            await asyncio.sleep(0.1)
            gc.callbacks.append(began)
            gc.set_threshold(20, 1, 1)
            os._exit(3)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    assert (seen.status, seen.stdout) == (3, "")
    assert seen.of(ProbeClosed) != []
