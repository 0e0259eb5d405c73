"""The detector on real programs: what blocks is found with place, duration and victims; the rest is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import Blocked, LoopStarted
from harness.stacks.ownership import CodeOwnership
from harness.stacks.turn_stack import TurnStack
from tests.support.watched import starved, watched

# How each program measures itself: the end prints when its one long step began and ended.
FRAME = """
    import asyncio, json, time

    {body}

    async def step():
        step.began_ns = time.monotonic_ns()
        await work()
        step.ended_ns = time.monotonic_ns()

    async def victim():
        while True:
            await asyncio.sleep(0.01)

    async def main():
        victims = [asyncio.create_task(victim(), name=f"victim-{{n}}") for n in range(3)]
        await asyncio.sleep(0.05)
        await asyncio.create_task(step(), name="worker")
        await asyncio.sleep(0.05)
        for task in victims:
            task.cancel()

    asyncio.run(main())
    print(json.dumps({{"began_ns": step.began_ns, "ended_ns": step.ended_ns}}))
"""

BLOCKING = {
    "sleep": """
    def pause():
        time.sleep(0.3)  # HERE

    async def work():
        pause()
    """,
    "cpu": """
    def compute():
        end = time.thread_time() + 0.3
        while time.thread_time() < end:  # HERE
            sum(range(100))  # HERE

    async def work():
        compute()
    """,
    "socket": """
    import socket, threading
    left, right = socket.socketpair()

    def ask():
        left.recv(1)  # HERE

    async def work():
        threading.Timer(0.3, right.send, [b"x"]).start()
        ask()
    """,
    "lock": """
    import threading
    lock = threading.Lock()

    def update():
        lock.acquire()  # HERE

    async def work():
        lock.acquire()
        threading.Timer(0.3, lock.release).start()
        update()
    """,
    "subprocess": """
    import subprocess, sys

    def restart():
        subprocess.run(["sleep", "0.3"])  # HERE

    async def work():
        restart()
    """,
    "deep in awaits": """
    async def inner():
        time.sleep(0.3)  # HERE

    async def middle():
        await inner()

    async def work():
        await middle()
    """,
}


@pytest.mark.parametrize("name", BLOCKING)
def test_a_blocking_call_is_found_with_its_line_task_duration_and_victims(name: str, tmp_path: Path) -> None:
    """One block, the line that blocks in the blamed frame, its task, its length, and who waited."""
    program = FRAME.format(body=BLOCKING[name].strip())
    lines = {n for n, line in enumerate(program.splitlines(), 1) if "# HERE" in line}

    seen = watched(program, tmp_path)

    assert seen.status == 0, seen.stderr
    began_ns, ended_ns = seen.said["began_ns"], seen.said["ended_ns"]
    ended = [block for block in seen.of(Blocked) if block.ended]
    (block,) = (one for one in ended if one.at_ns < ended_ns and began_ns < one.at_ns + one.held_ns)
    assert all(starved(other) for other in ended if other is not block)
    (started,) = seen.of(LoopStarted)
    # The most looks at the loop are the ones while it blocked; a lone one may catch its last moment.
    sample = max(block.samples, key=lambda s: s.count)
    blamed = TurnStack(sample.stack, CodeOwnership(started.application, started.libraries)).blamed
    assert blamed is not None
    assert blamed.file == str(tmp_path / "program.py")
    assert blamed.line in lines
    assert sample.task == "worker"
    really_ms = (ended_ns - began_ns) / 1e6
    assert block.held_ns / 1e6 == pytest.approx(really_ms, abs=max(15, 0.15 * really_ms))
    victims = {victim.label: victim.delayed_ns / 1e6 for victim in block.victims}
    assert {"victim-0", "victim-1", "victim-2"} <= victims.keys()
    assert all(really_ms * 0.5 < victims[f"victim-{n}"] <= block.held_ns / 1e6 for n in range(3))


HEALTHY = {
    "idle": """
    async def work():
        await asyncio.sleep(0.3)
    """,
    "busy but fair": """
    async def work():
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            sum(range(1000))
            await asyncio.sleep(0)
    """,
    "blocking, in a thread": """
    async def work():
        await asyncio.to_thread(time.sleep, 0.3)
    """,
    "a timer after a long wait": """
    async def work():
        for _ in range(3):
            await asyncio.sleep(0.12)
    """,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_is_not_reported(name: str, tmp_path: Path) -> None:
    """No block where nothing blocks."""
    seen = watched(FRAME.format(body=HEALTHY[name].strip()), tmp_path)

    assert seen.status == 0, seen.stderr
    assert seen.of(LoopStarted)
    assert [block for block in seen.blocks if not awaits_a_new_thread(block)] == []


def awaits_a_new_thread(block: Blocked) -> bool:
    """A thread's start waits for its first step, for which a full machine may have no processor."""
    return all("Thread.start" in {frame.function for frame in look.stack} for look in block.samples)


def test_every_block_of_a_program_is_one_block(tmp_path: Path) -> None:
    """Three blocks in three turns are three, however many looks each of them got."""
    body = """
    async def work():
        for _ in range(3):
            await asyncio.sleep(0.02)
            time.sleep(0.1)
    """
    seen = watched(FRAME.format(body=body.strip()), tmp_path)

    assert [sample.task for b in seen.blocks for sample in b.samples[:1]] == ["worker"] * 3
    assert all(sum(s.count for s in b.samples) > 5 for b in seen.blocks)


def test_the_span_that_blocked_and_the_spans_that_waited_are_named(tmp_path: Path) -> None:
    """With OpenTelemetry in the target, the spans and trace ids of holder and victims are in the block."""
    program = """
        import asyncio, json, time
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        tracer = trace.get_tracer("test")
        ids = {}

        async def request(name, held_s, gate):
            with tracer.start_as_current_span(name) as span:
                ids[name] = f"{span.get_span_context().trace_id:032x}"
                await gate.wait()
                time.sleep(held_s)
                await asyncio.sleep(0.01)

        async def main():
            gate = asyncio.Event()
            tasks = [asyncio.create_task(request("checkout", 0.15, gate)),
                     asyncio.create_task(request("search", 0, gate))]
            await asyncio.sleep(0.02)
            gate.set()
            await asyncio.gather(*tasks)

        asyncio.run(main())
        print(json.dumps(ids))
    """
    seen = watched(program, tmp_path)

    (block,) = seen.blocks
    sample = max(block.samples, key=lambda s: s.count)
    assert (sample.span, sample.trace_id) == ("checkout", seen.said["checkout"])
    assert [(v.span, v.trace_id) for v in block.victims] == [("search", seen.said["search"])]


def test_a_loop_in_another_thread_is_watched(tmp_path: Path) -> None:
    """A loop outside the main thread has its own number, and its blocks are found."""
    program = """
        import asyncio, threading, time

        async def main():
            await asyncio.sleep(0.02)
            time.sleep(0.15)

        async def beside():
            thread = threading.Thread(target=asyncio.run, args=(main(),), name="second")
            thread.start()
            while thread.is_alive():
                await asyncio.sleep(0.01)

        asyncio.run(beside())
    """
    seen = watched(program, tmp_path)

    (second,) = [started for started in seen.of(LoopStarted) if started.thread == "second"]
    (block,) = [b for b in seen.blocks if b.loop == second.loop]
    assert block.samples[0].coroutine == "main"


def test_loops_one_after_the_other_share_one_page(tmp_path: Path) -> None:
    """A thousand short loops leave one page of counters, one thread and no descriptor behind."""
    program = """
        import asyncio, json, os, threading

        async def nothing():
            pass

        asyncio.run(nothing())
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(1000):
            asyncio.run(nothing())
        print(json.dumps({"fds": len(os.listdir("/proc/self/fd")) - before}))
    """
    seen = watched(program, tmp_path)

    # One is the watchdog's, whose thread may begin late; another is a file that it reads.
    assert seen.said["fds"] <= 2
    assert len(list(seen.folder.loops.iterdir())) == 1


def test_the_tasks_that_wait_for_the_blocking_one_are_named(tmp_path: Path) -> None:
    """One for the other, through a group and a gather, up to the main coroutine."""
    program = """
        import asyncio, time

        async def inner():
            await asyncio.sleep(0.02)
            time.sleep(0.15)

        async def middle():
            await asyncio.gather(asyncio.create_task(inner(), name="inner"), asyncio.sleep(0))

        async def main():
            asyncio.current_task().set_name("main")
            async with asyncio.TaskGroup() as group:
                group.create_task(middle(), name="middle")

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    (block,) = seen.blocks
    assert block.samples[0].task == "inner"
    assert block.samples[0].awaited_by == ("middle", "main")


@pytest.mark.parametrize("origins", [True, False])
def test_where_a_task_was_made_is_kept_when_it_is_asked_for(origins: bool, tmp_path: Path) -> None:
    """The line that called the coroutine function; nothing without the option."""
    program = """
        import asyncio, time

        async def work():
            await asyncio.sleep(0.02)
            time.sleep(0.15)

        async def main():
            await asyncio.create_task(work())  # HERE

        asyncio.run(main())
    """
    seen = watched(program, tmp_path, origins=origins)

    (block,) = seen.blocks
    (here,) = [n for n, line in enumerate(program.splitlines(), 1) if "# HERE" in line]
    made = [(frame.function, frame.line) for frame in block.samples[0].created]
    assert made == ([("main", here)] if origins else [])


APPLICATIONS = [((), "program"), (("handlers",), "serve"), (("site/handlers.py",), "serve")]


@pytest.mark.parametrize(("asked", "blamed"), APPLICATIONS, ids=["found out", "package", "path"])
def test_whose_code_is_blamed_can_be_chosen(asked: tuple[str, ...], blamed: str, tmp_path: Path) -> None:
    """By default the program's own; else that of the named packages and paths alone."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "handlers.py").write_text("def serve(pause):\n    pause()\n")
    (site / "pauses.py").write_text("import time\ndef pause():\n    time.sleep(0.15)\n")
    program = """
        import asyncio, sys
        sys.path.insert(0, "site")
        import handlers, pauses

        async def program():
            handlers.serve(pauses.pause)

        asyncio.run(program())
    """
    seen = watched(program, tmp_path, application=asked)

    (block,) = seen.blocks
    (started,) = seen.of(LoopStarted)
    ownership = CodeOwnership(started.application or (), (str(site), *started.libraries))
    frame = TurnStack(block.samples[0].stack, ownership).blamed
    assert frame is not None
    assert frame.function == blamed


def test_the_task_of_a_step_that_keeps_the_gil_to_its_end_is_known(tmp_path: Path) -> None:
    """Nobody inside can look while it runs, and it is over at once afterwards: it is among the candidates."""
    program = """
        import asyncio, random
        numbers = [random.random() for _ in range(600_000)]

        async def work():
            await asyncio.sleep(0.02)
            numbers.sort()

        async def main():
            other = asyncio.create_task(asyncio.sleep(0.05), name="other")
            await asyncio.create_task(work(), name="sorter")
            await other

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    (block,) = seen.blocks
    sampled = {sample.task for sample in block.samples}
    suspects = {suspect.task: suspect.coroutine for suspect in block.candidates}
    assert "sorter" in sampled or (suspects["sorter"], suspects["other"]) == ("work", "sleep")


def test_a_loop_that_woke_up_late_tells_when(tmp_path: Path) -> None:
    """Another thread held the GIL in C while the loop was due: the loop ran nothing until it woke up."""
    program = """
        import asyncio, json, re, threading, time

        def match(after_s=0.0, lives_s=0.0):
            time.sleep(after_s)  # the loop is asleep by then
            re.match("(a+)+$", "a" * length + "b")
            time.sleep(lives_s)  # as a thread of a pool does

        def took(work):
            began = time.thread_time()
            work()
            return time.thread_time() - began

        length = 16
        while took(match) < 0.4:
            length += 1

        async def main():
            thread = threading.Thread(target=match, args=(0.05, 0.5), name="parser")
            await asyncio.sleep(0.05)
            loop = asyncio.get_running_loop()
            due = loop.time() + 0.15
            woke = loop.create_future()
            loop.call_at(due, lambda: woke.set_result(loop.time()))
            thread.start()
            print(json.dumps([due * 1e9, await woke * 1e9]))
            thread.join()

        asyncio.run(main())
    """
    seen = watched(program, tmp_path)

    due_ns, woke_ns = seen.said
    assert woke_ns - due_ns > 100e6
    block = next(b for b in seen.of(Blocked) if b.ended and b.at_ns <= woke_ns <= b.at_ns + b.held_ns + 1e6)
    assert block.at_ns == pytest.approx(due_ns, abs=5e6)
    assert block.woke_ns == pytest.approx(woke_ns, abs=30e6)
    assert "parser" in [other.thread for other in block.others]
