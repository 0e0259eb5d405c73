"""The probe in processes that end badly, fork, or have something of their own in its place."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.record.event import Blocked, LoopStarted, ProbeClosed, ProbeFailed, WriterClosed, WriterOpened
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.watched import outcome, start, watched


def test_the_targets_import_path_gains_one_folder_and_no_harness(tmp_path: Path) -> None:
    """Nothing of the harness can be imported by accident, and its own modules have private names."""
    program = """
        import asyncio, json, os, sys
        asyncio.run(asyncio.sleep(0))
        print(json.dumps({"path": [p for p in sys.path if p.endswith("entry")],
                          "inside": os.listdir([p for p in sys.path if p.endswith("entry")][0]),
                          "loaded": [m for m in sys.modules if m.split(".")[0] == "harness"]}))
    """
    said = watched(program, tmp_path).said

    assert len(said["path"]) == 1
    assert {name for name in said["inside"] if not name.endswith(("cache__", ".pyc"))} == {
        "attach_entry.py",
        "sitecustomize.py",
        "usercustomize.py",
    }
    assert said["loaded"] == []


def test_a_sitecustomize_of_the_environment_still_runs(tmp_path: Path) -> None:
    """The probe stands in front of the environment's own start-up file, not in its place."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins; builtins.customised = True")

    seen = watched("print(customised)", tmp_path, env={"PYTHONPATH": str(own)})

    assert (seen.status, seen.stdout) == (0, "True\n")


def test_a_program_without_a_loop_leaves_a_mark_and_nothing_else(tmp_path: Path) -> None:
    """A report can tell a program that ran no loop from one that the probe never entered."""
    seen = watched("print('done')", tmp_path)

    assert seen.stdout == "done\n"
    assert len(list(seen.folder.processes.iterdir())) == 1
    assert list(seen.folder.events.iterdir()) == []


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.execv('/bin/sh', ['sh', '-c', 'exit 3'])"])
def test_a_process_that_ends_without_its_exit_handlers_has_its_block_on_record(
    ending: str, tmp_path: Path
) -> None:
    """`os._exit` and `exec` right after a block lose nothing, and keep their status."""
    program = f"""
        import asyncio, os, time

        async def main():
            await asyncio.sleep(0.01)
            time.sleep(0.1)
            await asyncio.sleep(0)
            {ending}

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    assert seen.status == 3
    (block,) = seen.blocks
    assert block.held_ns > 100e6


def test_what_the_probe_does_at_the_start_of_a_loop_is_not_the_programs_first_turn(tmp_path: Path) -> None:
    """To find the places of libraries may take long; the loop is not late by that."""
    program = """
        import asyncio, sysconfig, time

        own = sysconfig.get_path

        def slow(*args):
            time.sleep(0.05)
            return own(*args)

        sysconfig.get_path = slow
        asyncio.run(asyncio.sleep(0.01))
    """
    seen = watched(program, tmp_path)

    assert seen.of(LoopStarted)[0].mechanism == "select"
    assert seen.blocks == []


def test_a_process_that_is_killed_inside_a_block_has_named_it(tmp_path: Path) -> None:
    """SIGKILL in the middle of a block: the record holds it as still lasting, with its stack."""
    program = """
        import asyncio, sys, time

        async def main():
            await asyncio.sleep(0.01)
            print("blocking", flush=True)
            time.sleep(60)

        asyncio.run(main())
    """
    process, folder = start(program, tmp_path)
    assert process.stdout.readline() == "blocking\n"
    while not any(b'"Blocked"' in path.read_bytes() for path in folder.events.iterdir()):
        assert process.poll() is None
    process.kill()
    seen = outcome(process, folder)

    (block,) = seen.of(Blocked)
    assert not block.ended
    assert block.samples[-1].stack[-1].function == "main"
    assert seen.sources[0].closed is None


def test_forked_children_have_a_record_of_their_own(tmp_path: Path) -> None:
    """A child after `fork` writes its own file and page, and leaves its parent's alone."""
    program = """
        import asyncio, os, time

        async def hold(held_s):
            await asyncio.sleep(0.01)
            time.sleep(held_s)
            await asyncio.sleep(0)

        async def main():
            if os.fork() == 0:
                # The running loop is the parent's; a child runs its own.
                asyncio.set_event_loop(None)
                asyncio.events._set_running_loop(None)
                asyncio.run(hold(0.2))
                os._exit(0)
            os.wait()
            await hold(0.1)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    held_ms: dict[int, list[int]] = {opened.pid: [] for opened in seen.of(WriterOpened)}
    for block in seen.blocks:
        held_ms[block.pid].append(round(block.held_ns / 1e8) * 100)
    # The parent's turn with `os.wait` lasts as long as the child lives, and is a block as well.
    assert sorted(len(blocks) for blocks in held_ms.values()) == [1, 2]
    assert [200] in held_ms.values()
    assert len({started.page for started in seen.of(LoopStarted)}) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_children_are_recorded(method: str, tmp_path: Path) -> None:
    """Children of multiprocessing are Python processes like any other."""
    program = f"""
        import asyncio, multiprocessing, time

        async def main():
            await asyncio.sleep(0.01)
            time.sleep(0.1)

        def child():
            asyncio.run(main())

        if __name__ == "__main__":
            process = multiprocessing.get_context("{method}").Process(target=child)
            process.start()
            process.join()
    """
    seen = watched(program, tmp_path)

    assert seen.status == 0, seen.stderr
    assert [b.samples[0].coroutine for b in seen.blocks] == ["main"]


def test_a_run_folder_that_is_gone_is_not_the_targets_trouble(tmp_path: Path) -> None:
    """The probe cannot record: one line on stderr, and the program does what it always did."""
    program = """
        import asyncio
        input()
        asyncio.run(asyncio.sleep(0))
        print("done")
    """
    process, folder = start(program, tmp_path)
    shutil.rmtree(folder.path)
    process.stdin.write("\n")
    process.stdin.flush()
    seen = outcome(process, folder)

    assert (seen.status, seen.stdout) == (0, "done\n")
    assert seen.stderr.startswith("harness: the probe cannot record this process")


def test_a_program_that_ends_well_closes_its_record_with_the_cost(tmp_path: Path) -> None:
    """The last lines say what the probe cost, and that nothing was dropped."""
    seen = watched("import asyncio; asyncio.run(asyncio.sleep(0.05))", tmp_path)

    (closed,) = seen.of(ProbeClosed)
    assert closed.turns > 0
    assert closed.process_cpu_ns > closed.threads_cpu_ns > 0
    assert isinstance(seen.events[-1], WriterClosed)
    assert seen.events[-1].dropped == 0
    assert seen.of(ProbeFailed) == []


def test_a_selector_is_given_back_as_it_was(tmp_path: Path) -> None:
    """While the loop runs, `select` works as it did; afterwards its selector has no trace of the probe."""
    program = """
        import asyncio, json, os
        loop = asyncio.new_event_loop()
        own = loop._selector
        seen = []

        async def main():
            seen.append(getattr(loop._selector.select, "__func__", None) is type(own).select)
            reader, writer = os.pipe()
            heard = loop.create_future()
            loop.add_reader(reader, lambda: heard.set_result(os.read(reader, 9).decode()))
            os.write(writer, b"hello")
            return await heard

        seen.append(loop.run_until_complete(main()))
        print(json.dumps([*seen, loop._selector is own, "select" in vars(own)]))
    """
    seen = watched(program, tmp_path)

    assert seen.said == [False, "hello", True, False]


def test_the_selector_of_a_watched_loop_looks_and_acts_like_its_own(tmp_path: Path) -> None:
    """What is set, registered or closed on one is so on the other."""
    program = """
        import asyncio, json, os, selectors
        loop = asyncio.new_event_loop()
        own = loop._selector

        async def main():
            now = loop._selector
            now.mine = 1
            reader, _ = os.pipe()
            now.register(reader, selectors.EVENT_READ, "data")
            return [
                isinstance(now, selectors.EpollSelector),
                repr(now).partition(" at ")[0],
                own.mine,
                own.get_key(reader).data,
                now.fileno() == own.fileno(),
                now.get_map() is own.get_map(),
            ]

        told = loop.run_until_complete(main())
        loop.close()
        print(json.dumps([*told, own.mine, own.get_map()]))
    """
    seen = watched(program, tmp_path)

    name = "<selectors.EpollSelector object"
    assert seen.said == [True, name, 1, "data", True, True, 1, None], seen.stderr


def test_a_selector_that_the_program_puts_in_stays(tmp_path: Path) -> None:
    """Another object in the loop, or another `select`, while it is watched, until it takes it out."""
    program = """
        import asyncio, json
        calls = []

        class Logged:
            def __init__(self, own):
                self.own = own
            def select(self, timeout=None):
                calls.append(timeout)
                return self.own.select(timeout)
            def __getattr__(self, name):
                return getattr(self.own, name)

        async def put_in():
            loop = asyncio.get_running_loop()
            loop._selector = Logged(loop._selector)
            await asyncio.sleep(0)

        async def replace():
            selector = asyncio.get_running_loop()._selector
            own = selector.select
            def select(timeout=None):
                calls.append(timeout)
                return own(timeout)
            selector.select = select
            await asyncio.sleep(0)

        async def take_out():
            await replace()
            del asyncio.get_running_loop()._selector.select
            await asyncio.sleep(0)

        counts = []
        for change in (put_in, replace, take_out):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(change())
            before = len(calls)
            loop.run_until_complete(asyncio.sleep(0))
            counts.append(len(calls) > before)
            loop.close()
        print(json.dumps(counts))
    """
    seen = watched(program, tmp_path)

    assert seen.said == [True, True, False], seen.stderr


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_probe_works_in_another_version_without_anything_of_the_harness(
    version: str, tmp_path: Path
) -> None:
    """The target's Python may be another one than the harness's, with nothing installed."""
    python = needs_python(version)
    program = """
        import asyncio, time

        def pause():
            time.sleep(0.15)

        async def main():
            await asyncio.sleep(0.01)
            pause()

        asyncio.run(main())
    """
    # Isolated from the harness's own environment, whatever this Python is.
    asked = [python, "-c", "import sys; print(sys.base_prefix)"]
    prefix = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    seen = watched(program, tmp_path, python=f"{prefix}/bin/python{version}")

    assert seen.status == 0, seen.stderr
    assert seen.of(WriterOpened)[0].python.startswith(version)
    (block,) = seen.blocks
    assert max(block.samples, key=lambda s: s.count).stack[-1].function == "pause"


def test_a_signal_still_reaches_the_program(tmp_path: Path) -> None:
    """SIGTERM ends the program as it would without the probe, and what was written before stays."""
    program = """
        import asyncio, time

        async def main():
            time.sleep(0.1)
            await asyncio.sleep(0)
            print("blocked", flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    process, folder = start(program, tmp_path)
    assert process.stdout.readline() == "blocked\n"
    while not any(b'"ended":true' in path.read_bytes() for path in folder.events.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    seen = outcome(process, folder)

    assert seen.status == -signal.SIGTERM
    assert len(seen.blocks) == 1


def test_a_program_that_waits_for_all_of_its_threads_is_not_kept(tmp_path: Path) -> None:
    """The probe's threads are not among those that a program can see, count or join."""
    program = """
        import asyncio, json, threading

        async def main():
            await asyncio.sleep(0.05)

        asyncio.run(main())
        seen = [thread.name for thread in threading.enumerate()]
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join()
        print(json.dumps(seen))
    """
    seen = watched(program, tmp_path, control=str(tmp_path))

    assert (seen.status, seen.said) == (0, ["MainThread"])


def test_leaving_by_keyword_works_as_ever(tmp_path: Path) -> None:
    """`os._exit` takes its status by name, too."""
    program = "import asyncio, os; asyncio.run(asyncio.sleep(0)); os._exit(status=3)"

    assert watched(program, tmp_path).status == 3


def test_a_fork_brings_no_warning_because_of_the_probe(tmp_path: Path) -> None:
    """A program with one thread may fork; the probe's threads are not counted against it."""
    program = """
        import asyncio, os, warnings
        warnings.simplefilter("error")

        async def main():
            if (pid := os.fork()) == 0:
                os._exit(0)
            os.waitpid(pid, 0)

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    assert (seen.status, seen.stderr) == (0, "")
