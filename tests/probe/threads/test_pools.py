"""Calls that stand behind a pool of threads: real programs, and what a report says of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from harness.read.finding import Finding
from harness.record.event import CallsStood
from tests.support.judged import findings_of, program_line
from tests.support.pythons import EACH, needs_python
from tests.support.watched import Outcome, watched

# What all programs of these tests share.
FRAME = """
import asyncio, queue, threading, time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

def read_row():
    return 1

# Long work ends when the program says so, and that says so after so many steps of its loop: on a machine that
# is busy, the probe gets as many looks.
ended = threading.Event()

async def steps(number):
    for _ in range(number):
        await asyncio.sleep(0.1)

{body}

if {uvloop}:
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
"""


def program(body: str, *, uvloop: bool = False) -> str:
    if uvloop:
        pytest.importorskip("uvloop")
    return FRAME.format(body=dedent(body), uvloop=uvloop)


def found(seen: Outcome) -> list[Finding]:
    """The findings about pools."""
    assert seen.status == 0, seen.stderr
    return findings_of("executors", seen)


# All threads of the default executor wait for something remote; requests come later, and each needs one.
FULL = """
    def poll_job():
        ended.wait()  # polls

    async def job():
        await asyncio.get_running_loop().run_in_executor(None, poll_job)

    async def request():
        await asyncio.to_thread(read_row)
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)

    async def main():
        loop = asyncio.get_running_loop()
        if not {uvloop}:
            loop.set_default_executor(ThreadPoolExecutor(3))
        jobs = [asyncio.create_task(job()) for _ in range({jobs})]
        await steps(6)
        requests = []
        for _ in range(8):
            await steps(1)
            requests.append(asyncio.create_task(request()))
        await steps(20)
        ended.set()
        await asyncio.gather(*jobs, *requests)
"""


@pytest.mark.parametrize("python", EACH)
def test_calls_behind_a_full_default_executor_are_told(python: str, tmp_path: Path) -> None:
    """With the function at which all threads are at work, its line, and for how long they stood."""
    body = FULL.format(jobs=3, uvloop=False)
    (finding,) = found(watched(program(body), tmp_path, python=needs_python(python)))

    line = program_line("# polls", tmp_path)
    assert finding.message.startswith("8 calls (read_row) stood up to ")
    assert finding.message.endswith(
        f" behind poll_job (program.py:{line}): all 3 threads of the default executor were at work in it"
    )
    assert (finding.level, finding.line) == ("warning", line)
    assert finding.cost is not None
    assert finding.cost.amount > 1
    assert finding.next == (
        "Give poll_job an executor of its own, so that no other call waits for its threads."
    )


@pytest.mark.long
def test_under_uvloop_its_own_default_executor_is_named(tmp_path: Path) -> None:
    """The probe knows it from what the loop refers to."""
    body = FULL.format(jobs="min(32, (__import__('os').cpu_count() or 1) + 4)", uvloop=True)
    (finding,) = found(watched(program(body, uvloop=True), tmp_path))

    assert "behind poll_job" in finding.message
    assert "threads of the default executor were at work in it" in finding.message


@pytest.mark.long
def test_calls_that_their_tasks_have_given_up_are_counted(tmp_path: Path) -> None:
    """Also where the time limit is shorter than the time from which a call stands."""
    body = """
        def render():
            ended.wait()

        async def page():
            await asyncio.get_running_loop().run_in_executor(pool, render)

        async def request():
            try:
                await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(pool, read_row), 0.6)
            except TimeoutError:
                pass

        async def main():
            global pool
            pool = ThreadPoolExecutor(2, "pages")
            pages = [asyncio.create_task(page()) for _ in range(2)]
            await steps(6)
            requests = []
            for _ in range(20):
                requests.append(asyncio.create_task(request()))
                await steps(1)
            ended.set()
            await asyncio.gather(*pages, *requests)
    """
    (finding,) = found(watched(program(body), tmp_path))

    assert "behind render (program.py:" in finding.message
    assert "all 2 threads of the executor pages were at work in it" in finding.message
    assert finding.message.endswith("calls were given up")


def test_threads_that_wait_for_a_coroutine_that_waits_for_them_are_a_circle(tmp_path: Path) -> None:
    """Both ends are named: the line that waits in a thread, and the coroutine of the loop."""
    body = """
        async def deeper():
            await asyncio.to_thread(read_row)

        async def fetch():
            await asyncio.create_task(deeper())

        def work(loop):
            asyncio.run_coroutine_threadsafe(fetch(), loop).result(3)  # waits

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(2))
            await asyncio.gather(*(asyncio.to_thread(work, loop) for _ in range(2)), return_exceptions=True)
    """
    (finding,) = found(watched(program(body), tmp_path))

    wait, coroutine = program_line("# waits", tmp_path), program_line("async def fetch", tmp_path)
    assert finding.message.endswith(
        f" in a circle: all 2 threads of the default executor wait in work (program.py:{wait}) for fetch "
        f"(program.py:{coroutine}) of the loop, which itself waits for one of them"
    )
    assert "tasks" in finding.explains


@pytest.mark.long
def test_an_adapter_with_one_thread_is_a_pool(tmp_path: Path) -> None:
    """Its thread takes the calls from a queue of its own, each with a future of the loop."""
    body = """
        class Connection(threading.Thread):
            def __init__(self):
                super().__init__(name="database", daemon=True)
                self.calls = queue.SimpleQueue()

            def run(self):
                while (call := self.calls.get()) is not None:
                    future, function = call
                    result = function()
                    future.get_loop().call_soon_threadsafe(set_result, future, result)

            async def execute(self, function):
                future = asyncio.get_running_loop().create_future()
                self.calls.put((future, function))
                return await future

        def set_result(future, result):
            if not future.done():
                future.set_result(result)

        def vacuum():
            ended.wait()  # vacuums

        async def main():
            connection = Connection()
            connection.start()
            maintenance = asyncio.create_task(connection.execute(vacuum))
            queries = []
            for _ in range(6):
                await steps(3)
                queries.append(asyncio.create_task(connection.execute(read_row)))
            await steps(52)
            ended.set()
            await asyncio.gather(maintenance, *queries)
            connection.calls.put(None)
    """
    (finding,) = found(watched(program(body), tmp_path))

    assert finding.message.startswith("6 calls (read_row) stood up to ")
    assert f"behind vacuum (program.py:{program_line('# vacuums', tmp_path)})" in finding.message
    assert finding.message.endswith("thread database, which serves one call at a time, was at work in it")


LIMITER = """
    import anyio, anyio.to_thread

    def report(number):
        ended.wait()  # reports

    def export(number):
        ended.wait()  # exports

    def health():
        return 1

    async def handle(limiter, function, *given):
        await anyio.to_thread.run_sync(partial(function, *given), limiter=limiter)

    async def main():
        own = anyio.CapacityLimiter(2)
        anyio.to_thread.current_default_thread_limiter().total_tokens = 3
        slow = [asyncio.create_task(handle(None, report, number)) for number in range(3)]
        slow += [asyncio.create_task(handle(own, export, number)) for number in range(2)]
        await steps(6)
        checks = []
        for _ in range(4):
            await steps(1)
            checks.append(asyncio.create_task(handle(None, health)))
            checks.append(asyncio.create_task(handle(own, health)))
        await steps(12)
        checks += [asyncio.create_task(handle(own, health)) for _ in range(2)]
        await steps(18)
        ended.set()
        await asyncio.gather(*slow, *checks)
"""


def test_limiters_of_anyio_are_pools(tmp_path: Path) -> None:
    """The default one, behind which stand the plain functions of web frameworks, and the program's own."""
    pytest.importorskip("anyio")
    findings = found(watched(program(LIMITER), tmp_path))

    said = {finding.message.partition("behind ")[2] for finding in findings}
    report, export = (program_line(text, tmp_path) for text in ("# reports", "# exports"))
    assert said == {
        f"report (program.py:{report}): all 3 threads of AnyIO's default limiter were at work in it",
        f"export (program.py:{export}): all 2 threads of a limiter of AnyIO were at work in it",
    }
    assert {finding.next.partition(",")[0] for finding in findings} == {
        "Give report a limiter of its own",
        "Give export a limiter of its own",
    }


# Pools side by side, all well, each with a life of its own.
HEALTHY = """
    def short():
        time.sleep(0.02)

    def long_poll():
        time.sleep(3)

    def load_model():
        time.sleep(1.2)

    def load_index():
        time.sleep(1.3)

    def on(pool, function):
        return asyncio.get_running_loop().run_in_executor(pool, function)

    async def at_rest(pool):
        await on(pool, read_row)
        await asyncio.sleep(3)

    async def always_full_but_draining(pool):
        async def ask():
            for _ in range(60):
                await on(pool, short)
        await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(6)))

    async def a_burst(pool):
        await asyncio.sleep(1)
        await asyncio.gather(*(on(pool, function) for function in (short, read_row) * 20))

    async def long_polls_with_nobody_waiting(pool):
        await asyncio.gather(*(on(pool, long_poll) for _ in range(4)))

    async def a_batch(pool):
        for work in asyncio.as_completed([on(pool, short) for _ in range(400)]):
            await work

    async def a_slow_batch(pool):
        await asyncio.gather(*(on(pool, load_model) for _ in range(8)))

    async def a_start_that_fills_it_once(pool):
        await asyncio.gather(*(on(pool, function) for function in (load_model, load_index) * 4))

    async def steps_of_a_pipeline(pool):
        async def item():
            await on(pool, load_model)
            await on(pool, short)
        await asyncio.gather(*(asyncio.create_task(item()) for _ in range(6)))

    async def handed_over_and_forgotten(pool):
        for _ in range(2):
            pool.submit(long_poll)
        await asyncio.sleep(1)
        for _ in range(5):
            pool.submit(read_row)

    async def main():
        lives = [
            at_rest, always_full_but_draining, a_burst, long_polls_with_nobody_waiting, a_batch, a_slow_batch,
            a_start_that_fills_it_once, steps_of_a_pipeline, handed_over_and_forgotten,
        ]
        sizes = {handed_over_and_forgotten: 2, always_full_but_draining: 3}
        pools = {life: ThreadPoolExecutor(sizes.get(life, 4), life.__name__) for life in lives}
        await asyncio.gather(*(life(pool) for life, pool in pools.items()))
"""


def test_pools_at_rest_at_work_and_in_a_batch_are_no_trouble(tmp_path: Path) -> None:
    """Nothing is said of pools that are full because the program filled them, or whose threads take calls."""
    assert found(watched(program(HEALTHY), tmp_path)) == []


@pytest.mark.long
def test_tokens_that_a_blocked_loop_has_not_taken_back_are_no_full_limiter(tmp_path: Path) -> None:
    """The threads are done; it is the loop that does not serve the tasks that wait."""
    pytest.importorskip("anyio")
    body = """
        import anyio, anyio.to_thread

        def quick():
            time.sleep(0.3)

        async def main():
            anyio.to_thread.current_default_thread_limiter().total_tokens = 2
            first = [asyncio.create_task(anyio.to_thread.run_sync(quick)) for _ in range(2)]
            await asyncio.sleep(0.2)
            later = [asyncio.create_task(anyio.to_thread.run_sync(read_row)) for _ in range(5)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(2.5)
            await asyncio.gather(*first, *later)
    """
    assert found(watched(program(body), tmp_path)) == []


def test_nothing_is_written_while_calls_are_served(tmp_path: Path) -> None:
    """A pool whose calls are taken at once has no event in the record."""
    body = """
        async def main():
            for _ in range(20):
                await asyncio.to_thread(read_row)
                await asyncio.sleep(0.02)
    """
    assert watched(program(body), tmp_path).of(CallsStood) == []
