"""What becomes of tasks: real programs under the probe, and what a report says of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.read import history, report
from harness.read.report import Report
from harness.record.event import ExceptionLost, ProbeClosed, TasksCounted
from tests.support.judged import judged, program_line
from tests.support.pythons import OTHERS, needs_python
from tests.support.watched import Outcome, watched

# Runs `main()` on the loop that the test is about.
FRAME = """
import asyncio, gc, hashlib, json, os, sys, time
{body}
if {uvloop}:
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
"""

LOOPS = ["asyncio", "uvloop"]


def program(body: str, loop: str = "asyncio") -> str:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    return FRAME.format(body=dedent(body), uvloop=loop == "uvloop")


def said(seen: Outcome) -> list[tuple[str, str, int | None]]:
    """The findings about tasks: level, message and line."""
    return [(f.level, f.message, f.line) for f in judged(seen).findings if f.rule == "tasks"]


DESTROYED = """
    async def forever():
        await asyncio.get_running_loop().create_future()

    async def main():
        kept = [asyncio.create_task(forever()) for _ in range(3)]
        await asyncio.sleep(0.01)
        {then}
        gc.collect()
        await asyncio.sleep(0.01)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_that_are_destroyed_while_pending_are_found(loop: str, tmp_path: Path) -> None:
    """With their number and their definition; the program's own log says the same as ever."""
    seen = watched(program(DESTROYED.format(then="kept.clear()"), loop), tmp_path)

    line = program_line("async def forever", tmp_path)
    assert said(seen) == [
        (
            "warning",
            f"3 tasks of forever (program.py:{line}) destroyed while pending: no reference to it was kept",
            line,
        )
    ]
    assert report_again(seen).loop.tasks.destroyed_pending == 3
    assert seen.stderr.count("Task was destroyed but it is pending!") == 3


def report_again(seen: Outcome) -> Report:
    return report.build(history.load(seen.folder))


def test_tasks_that_somebody_holds_are_not_destroyed(tmp_path: Path) -> None:
    """The same program with its references kept has nothing to report."""
    seen = watched(program(DESTROYED.format(then="")), tmp_path)

    assert said(seen) == []
    assert report_again(seen).loop.tasks.destroyed_pending == 0


EXCEPTION = """
    async def fetch():
        raise ValueError("no such host")  # raises

    async def main():
        {before}
        task = asyncio.create_task(fetch())
        await asyncio.sleep(0.01)
        {then}
        del task
        gc.collect()
        await asyncio.sleep(0.01)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_an_exception_that_nobody_retrieved_is_found(loop: str, tmp_path: Path) -> None:
    """With its text and the line that raised it."""
    seen = watched(program(EXCEPTION.format(before="", then=""), loop), tmp_path)

    line = program_line("# raises", tmp_path)
    assert said(seen) == [
        (
            "warning",
            "1 exception of fetch went unhandled: ValueError: no such host, raised in fetch "
            f"(program.py:{line}); asyncio reported: Task exception was never retrieved",
            line,
        )
    ]
    assert seen.stderr.count("Task exception was never retrieved") == 1


def test_an_exception_that_was_retrieved_is_no_finding(tmp_path: Path) -> None:
    """Looking at the exception is enough; and the probe's own looks do not count as such."""
    seen = watched(program(EXCEPTION.format(before="", then="task.exception()")), tmp_path)

    assert said(seen) == []
    assert seen.stderr == ""


def test_the_programs_own_exception_handler_is_still_called(tmp_path: Path) -> None:
    """It gets the context that it always got, once."""
    own = "asyncio.get_running_loop().set_exception_handler(lambda _, c: print(sorted(c)))"
    seen = watched(program(EXCEPTION.format(before=own, then="")), tmp_path)

    assert [level for level, _, _ in said(seen)] == ["warning"]
    assert seen.stdout == "['exception', 'future', 'message']\n"
    assert seen.stderr == ""


UNAWAITED = """
    async def save():
        pass

    def handle():
        save()  # forgets

    async def main():
        for _ in range(5):
            handle()
        await save()
"""


def test_a_coroutine_that_was_never_awaited_is_found_where_it_was_dropped(tmp_path: Path) -> None:
    """And Python's own warning names the same line as without the probe, once per line."""
    text = program(UNAWAITED)
    seen = watched(text, tmp_path)
    alone = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], cwd=tmp_path, capture_output=True, text=True
    )

    line, defined = program_line("# forgets", tmp_path), program_line("async def save", tmp_path)
    assert said(seen) == [
        (
            "warning",
            f"coroutine save (program.py:{defined}) was never awaited, 5 times: dropped at program.py:{line}",
            line,
        )
    ]
    assert seen.stderr == alone.stderr
    assert f"program.py:{line}: RuntimeWarning: coroutine 'save' was never awaited" in seen.stderr


def test_a_coroutine_that_was_closed_is_no_finding(tmp_path: Path) -> None:
    """Nor one that is awaited."""
    body = """
        async def save():
            pass

        async def main():
            save().close()
            await save()
    """
    seen = watched(program(body), tmp_path)

    assert said(seen) == []


LEAK = """
    tasks = []  # a collection right after `main` would destroy its own before they are cancelled

    class Hub:
        async def wait(self):
            await asyncio.Event().wait()  # waits

    async def main():
        for number in range(80):
            task = asyncio.create_task(Hub().wait())
            tasks.append(task)
            await asyncio.sleep(0.01)
            {each}
        {then}
"""


@pytest.mark.parametrize("then", ["", "os._exit(0)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_whose_number_only_grows_are_a_leak(loop: str, then: str, tmp_path: Path) -> None:
    """However the program ends: in good order, without its exit handlers, or killed."""
    seen = watched(program(LEAK.format(each="", then=then), loop), tmp_path)

    told = said(seen)
    assert len(told) == 1 or loop == "uvloop"
    level, message, line = max(told, key=lambda one: int(one[1].split()[0]))
    assert level == "warning"
    # Under uvloop a place may be named at the end only, when its tasks are cancelled and wait no more.
    known = ["# waits", "async def wait"] if loop == "uvloop" else ["# waits"]
    assert line in [program_line(text, tmp_path) for text in known]
    count = int(message.split()[0])
    assert "tasks of Hub.wait wait at program.py:" in message
    assert message.endswith("none of them left")
    assert 60 <= count <= 80
    assert report_again(seen).loop.tasks.leaked == sum(int(text.split()[0]) for _, text, _ in told)


FAST_LEAK = """
    async def wait():
        await asyncio.Event().wait()  # waits

    async def read():
        await asyncio.sleep(0)

    async def handle():
        tasks.append(asyncio.create_task(wait()))
        await asyncio.create_task(read())
        hashlib.sha256(ballast)  # works without the GIL, so that a census is not a tenth of a second late

    async def main():
        for number in range(100):
            await asyncio.create_task(handle())
        await asyncio.sleep(0.4)

    tasks = []
    ballast = bytes(1_500_000)
"""


def test_a_leak_may_be_fast_when_other_tasks_come_and_end(tmp_path: Path) -> None:
    """A request leaks a task and ends; a hundred requests take less time than a pool may for its start."""
    seen = watched(program(FAST_LEAK), tmp_path)

    ((level, message, line),) = said(seen)
    assert (level, line) == ("warning", program_line("# waits", tmp_path))
    assert message.startswith("100 tasks of wait wait at program.py:")


# A pool that is not made in one go, and had nothing else to do than to come up.
COMES_UP = """
    pool = []

    async def work(number):
        await {connects}
        await asyncio.Event().wait()

    async def main():
        for number in range(40):
            pool.append(asyncio.create_task(work(number), {named}))
            await asyncio.sleep(0)
            sum(range(20_000))
        await asyncio.sleep(0.4)
"""

QUIET = {
    "they end": LEAK.format(each="task.cancel(); await asyncio.wait([task])", then=""),
    "the latest are still at work": LEAK.format(each="len(tasks) > 25 and tasks[-25].cancel()", then=""),
    "a pool": """
        async def work(queue):
            while True:
                await queue.get()

        async def main():
            global pool
            queue = asyncio.Queue()
            pool = [asyncio.create_task(work(queue)) for _ in range(50)]
            for number in range(80):
                queue.put_nowait(number)
                await asyncio.sleep(0.01)
    """,
    "a pool with numbers of its own": COMES_UP.format(
        connects="asyncio.sleep(0)", named="name=str(1_000 * number)"
    ),
    "a pool that connects with a limit in time": COMES_UP.format(
        connects="asyncio.wait_for(asyncio.sleep(0), 1)", named="name=None"
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_many_tasks_are_not_a_leak_by_themselves(name: str, tmp_path: Path) -> None:
    """Tasks that come and go, and a pool that was there from the start, are no finding."""
    seen = watched(program(QUIET[name]), tmp_path)

    assert seen.of(TasksCounted) != []
    assert said(seen) == []
    assert report_again(seen).loop.tasks.leaked == 0


def test_tasks_of_open_connections_are_noted_and_no_leak(tmp_path: Path) -> None:
    """As many sockets were opened: whether they are meant to stay, nobody can know."""
    body = """
        async def serve(reader, writer):
            await reader.read()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            open_now = []
            for _ in range(60):
                open_now.append(await asyncio.open_connection(*address))
                await asyncio.sleep(0.01)
            os._exit(0)
    """
    seen = watched(program(body), tmp_path)

    assert [level for level, _, _ in said(seen)] in ([], ["note"])
    assert report_again(seen).loop.tasks.leaked == 0


CANCELLED = """
    async def stubborn():
        while True:
            try:
                await asyncio.sleep(60)  # goes on
            except asyncio.CancelledError:
                pass

    async def patient():
        while time.monotonic() < begun + {held_s}:
            try:
                async with asyncio.timeout(0.2):
                    await asyncio.sleep(60)
            except TimeoutError:
                pass

    async def main():
        global begun
        begun = time.monotonic()
        task = asyncio.create_task({of}())
        await asyncio.sleep(0.05)
        {then}
        await asyncio.sleep({held_s})
        os._exit(0)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_a_task_that_goes_on_after_its_cancellation_is_found(loop: str, tmp_path: Path) -> None:
    """At the line where it waits, with the time that has passed at least."""
    body = CANCELLED.format(of="stubborn", then="task.cancel()", held_s=1.6)
    seen = watched(program(body, loop), tmp_path)

    ((level, message, line),) = said(seen)
    assert level == "warning"
    assert message.startswith("1 task of stubborn cancelled but still pending at program.py:")
    assert line == program_line("# goes on", tmp_path)


def test_a_timeout_that_cancels_its_own_task_is_no_finding(tmp_path: Path) -> None:
    """`asyncio.timeout` takes its cancellation back, however often; so does a task that nobody cancelled."""
    seen = watched(program(CANCELLED.format(of="patient", then="", held_s=1.6)), tmp_path)

    assert said(seen) == []


def test_a_task_that_ends_well_though_it_was_cancelled_is_noted(tmp_path: Path) -> None:
    """It swallowed the cancellation; one that lets it pass is no finding, nor one that failed."""
    body = """
        async def swallow():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return "done"

        async def pass_on():
            await asyncio.sleep(60)

        async def fail():
            try:
                await asyncio.sleep(60)
            finally:
                raise ValueError("on the way out")

        async def main():
            tasks = [asyncio.create_task(of()) for of in (swallow, swallow, pass_on, fail)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.3)
    """
    seen = watched(program(body), tmp_path)

    (found,) = said(seen)
    assert found == (
        "note",
        "2 tasks of swallow swallowed a cancellation: cancelled, but ended normally",
        program_line("async def swallow", tmp_path),
    )


STRUCTURED = """
    class Shutdown(Exception):
        pass

    async def stop(event):
        await event.wait()
        raise Shutdown

    async def serve():
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, event.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(stop(event))
                group.create_task(asyncio.sleep(60))
        except* Shutdown:
            pass

    async def body():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(stop(event := asyncio.Event()))
                event.set()
                await asyncio.sleep(60)
        except* Shutdown:
            pass

    async def hurry():
        try:
            async with asyncio.timeout(0.02):
                await asyncio.sleep(60)
        except TimeoutError:
            pass
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.02)
        except TimeoutError:
            pass

    async def recover():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()

    async def scopes():
        try:
            import anyio
        except ImportError:
            return
        with anyio.move_on_after(0.02):
            await anyio.sleep(60)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 60)
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()

    async def swallow():
        await serve()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

    async def main():
        await serve()
        tasks = [asyncio.create_task(of()) for of in (serve, serve, body, hurry, recover, scopes{more})]
        await asyncio.wait(tasks[:4])  # on a busy machine, an import takes long
        await asyncio.sleep(0.5)
        for task in tasks[4:]:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(1.2)  # so long that a task that was cancelled would be slow to end
"""


@pytest.mark.parametrize("version", ["", *OTHERS])
def test_what_structured_concurrency_cancels_by_itself_is_not_swallowed(version: str, tmp_path: Path) -> None:
    """A group left by ``except*``, timeouts, scopes, and a cancellation that is taken back by `uncancel`.

    A task that left such a group before, and swallows a real cancellation then, is found as ever.
    """
    python = needs_python(version) if version else sys.executable
    for name, more in (("clean", ""), ("swallowed", ", swallow")):
        (folder := tmp_path / name).mkdir()
        seen = watched(program(STRUCTURED.format(more=more)), folder, python=python)
        assert (seen.status, seen.stderr) == (0, "")

        messages = [message for _, message, _ in said(seen)]
        found = ["1 task of swallow swallowed a cancellation: cancelled, but ended normally"]
        assert messages == (found if more else [])


def test_in_debug_mode_the_line_that_made_the_task_is_named(tmp_path: Path) -> None:
    """asyncio knows it then, so it costs nothing more."""
    seen = watched(program(DESTROYED.format(then="kept.clear()")), tmp_path, env={"PYTHONASYNCIODEBUG": "1"})

    ((_, message, line),) = said(seen)
    assert line == program_line("kept = [", tmp_path)
    assert message.endswith(f"; created in main (program.py:{line})") or "<listcomp>" in message


@pytest.mark.parametrize("version", OTHERS)
def test_all_of_it_is_found_in_another_version(version: str, tmp_path: Path) -> None:
    """The register of tasks and the warnings of Python differ between versions; the findings do not."""
    python = needs_python(version)
    body = dedent(LEAK.format(each="", then="await rest()")) + dedent("""
            async def forever():
                await asyncio.get_running_loop().create_future()

            async def fetch():
                raise ValueError("no such host")

            async def swallow():
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass

            async def rest():
                lost = [asyncio.create_task(of()) for of in (forever, fetch)]
                swallowing = asyncio.create_task(swallow())
                await asyncio.sleep(0.01)
                (census,) = [one for one in gc.get_objects() if type(one).__name__ == "Census"]
                # Since Python 3.14, a census sees an ended task only if the one before has seen it pending.
                census.count()
                swallowing.cancel()
                await asyncio.sleep(0.01)
                census.count()
                lost.clear()
                gc.collect()
                fetch()
        """)
    seen = watched(program(body), tmp_path, python=python)

    assert seen.status == 0, seen.stderr
    words = ["none of them left", "destroyed while", "went unhandled", "never awaited", "swallowed"]
    messages = [message for _, message, _ in said(seen)]
    assert len(messages) == len(words), messages
    assert all(word in message for word, message in zip(words, messages, strict=True))


@pytest.mark.long
def test_an_idle_program_is_left_alone(tmp_path: Path) -> None:
    """With a hundred tasks that wait, all of the probe's threads take next to nothing."""
    body = """
        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(100)]
            await asyncio.sleep(4)
    """
    seen = watched(program(body), tmp_path)

    (closed,) = seen.of(ProbeClosed)
    assert closed.threads_cpu_ns < 4e9 * 0.03


@pytest.mark.long
def test_a_crowd_too_large_to_be_looked_at_often_is_looked_at_rarely(tmp_path: Path) -> None:
    """With 30,000 tasks a census takes long, and the next one is so much later."""
    body = """
        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(30_000)]
            began = time.monotonic()
            while time.monotonic() < began + 3:
                await asyncio.sleep(0)
    """
    seen = watched(program(body), tmp_path)

    (closed,) = seen.of(ProbeClosed)
    # At the pace of a small program it would be forty and more.
    assert 1 <= len(seen.of(TasksCounted)) <= 20
    assert closed.threads_cpu_ns < 3e9 * 0.2
    # Whether the tasks came in one go or little by little, two censuses cannot tell.
    assert said(seen) == []


@pytest.mark.parametrize("kinds", [990, 1_010])
def test_losses_of_more_kinds_than_are_told_apart_are_counted(kinds: int, tmp_path: Path) -> None:
    """Of exceptions from many lines a thousand are told with their line, the others by their number."""
    body = f"""
        exec("\\n".join(f"def fail_{{n}}(): raise ValueError" for n in range({kinds})))

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: None)
            for n in range({kinds}):
                loop.call_soon(globals()[f"fail_{{n}}"])
            await asyncio.sleep(0)
    """
    seen = watched(program(body), tmp_path)

    told = sum(lost.count for lost in seen.of(ExceptionLost))
    (closed,) = seen.of(ProbeClosed)
    assert (told, closed.losses_dropped) == (min(kinds, 1_000), max(kinds - 1_000, 0))
    more = [message for _, message, _ in said(seen) if "more kinds" in message]
    assert more == (
        ["10 more tasks, exceptions or coroutines were lost, of more kinds than are told apart"]
        if kinds > 1_000
        else []
    )
