"""The marker `no_trouble` in runs of pytest: each kind of trouble fails a test, and a well test passes."""

from __future__ import annotations

import pytest

from tests.support.plugin_run import Run, runner

# Each of them goes on for as long as its test, which ends it as soon as it is found.
TROUBLE = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor

kept = []

async def until_found(watch, *rules):
    for _ in range(100):
        await asyncio.sleep(0.2)
        if {one.rule for one in watch.findings if one.level == "warning"} >= set(rules):
            break
    # The marker has a watch of its own, which began a little later. On Python 3.14 and later it searches the
    # objects of the whole test process for tasks that have died, and then rests.
    await asyncio.sleep(1 if sys.version_info < (3, 14) else 4)

def start(*coroutines):
    kept.extend(map(asyncio.create_task, coroutines))

def end():
    for task in kept:
        if not task.done():  # it would count as looked at
            task.cancel()

async def twice(lock):
    async with lock:
        async with lock:
            pass

async def produce(queue):
    while True:
        queue.put_nowait(b"order")
        await asyncio.sleep(0.002)

async def work(queue):
    while True:
        raise ValueError(await queue.get())

async def fill(queue):
    while True:
        await queue.put(1)

async def wait_for_child():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print('x' * 1_000_000)", stdout=subprocess.PIPE
    )
    try:
        await child.wait()
    finally:
        child.kill()

async def ask(pool):
    while True:
        start(quick(pool))
        await asyncio.sleep(0.2)

async def quick(pool):
    await asyncio.get_running_loop().run_in_executor(pool, len, "")

async def forget():
    async def fail():
        raise LookupError("no such host")
    asyncio.create_task(fail())

async def poll():
    while True:
        await asyncio.sleep(0)

async def wait_for(event):
    await event.wait()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in a process of its own on a module of tests."""
    return runner(pytester, monkeypatch)


def test_each_kind_of_trouble_fails_a_marked_test_with_its_sentence_and_place(run: Run) -> None:
    """Many kinds side by side; the gravest first, each with its rule, its line, its cost and what to do."""
    result = run(
        TROUBLE
        + """
@pytest.mark.no_trouble(limit_ms=5000)
@pytest.mark.asyncio
async def test_crowd(watch_loop):
    released, small = threading.Event(), asyncio.Queue(3)
    pool = ThreadPoolExecutor(1, "narrow")
    pool.submit(released.wait)
    start(twice(asyncio.Lock()), produce(asyncio.Queue()), work(small), fill(small), wait_for_child(),
          ask(pool), forget())
    await until_found(watch_loop, "children", "deaths", "executors", "growth", "standstills", "tasks")
    released.set()
    end()
"""
    )

    result.assert_outcomes(failed=1)
    for sentence, rule in (
        ("Child `python* stands in a write to its stdout*", "children"),
        ("1 task of work died of an exception that nobody has looked at: ValueError*", "deaths"),
        ("* stood up to * the only thread of the executor narrow was at work*", "executors"),
        ("Produce * puts into a Queue without maxsize faster than it is emptied: *", "growth"),
        ("1 task of twice waited for a Lock *; a deadlock: *", "standstills"),
        ("1 exception of forget.<locals>.fail went unhandled: LookupError: *", "tasks"),
    ):
        result.stdout.fnmatch_lines([f"{sentence} ({rule})"])
    result.stdout.fnmatch_lines(
        [
            "1 task of twice waited for a Lock at twice (test_it.py:*",
            "    at test_it.py:*",
            "    * stood still",
            "    Do not enter the lock again inside of it: *",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(["FAILED *test_crowd* - Failed: *"])


@pytest.mark.long
def test_spins_lost_wake_ups_and_blocks_fail_too_and_a_well_test_passes(run: Run) -> None:
    """One test each; blocks with their stacks, as `no_blocks` tells them."""
    result = run(
        TROUBLE
        + """
pytestmark = [pytest.mark.no_trouble(limit_ms=1000), pytest.mark.asyncio]

async def test_spins(watch_loop):
    start(poll())
    await until_found(watch_loop, "spins")
    end()

async def test_sleeps():
    event = asyncio.Event()
    waiter = asyncio.create_task(wait_for(event))
    threading.Timer(0.3, event.set).start()
    await asyncio.sleep(4)
    await waiter

async def test_blocks():
    await hold(1.2)

async def test_well():
    queue = asyncio.Queue()

    async def consume():
        while await queue.get():
            await asyncio.to_thread(len, "")

    consumer = asyncio.create_task(consume())
    for n in range(100):
        queue.put_nowait(1)
        await asyncio.sleep(0.01)
    queue.put_nowait(0)
    await consumer
"""
    )

    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["FAILED *test_spins* - Failed: The loop spun for *"])
    result.stdout.fnmatch_lines(["FAILED *test_sleeps* - Failed: Wait_for * stood ready for at least *"])
    result.stdout.fnmatch_lines(["FAILED *test_blocks* - Failed: pause held the event loop for *"])


LOST = """
async def fail():
    raise LookupError("no such host")

async def forget():
    asyncio.create_task(fail())
    await asyncio.sleep(0.05)

def test_forgets():
    asyncio.run(forget())
"""


def test_every_test_is_checked_if_asked_for_unless_it_is_exempted(run: Run) -> None:
    """By the option, or the configuration file; a marker may exempt a test, or allow a rule."""
    tests = (
        LOST
        + """
@pytest.mark.no_trouble(limit_ms=None)
def test_is_exempted():
    asyncio.run(forget())

@pytest.mark.no_trouble(allow="tasks")
def test_allows_it():
    asyncio.run(forget())
"""
    )
    run(tests).assert_outcomes(passed=3)
    run(tests, "--no-trouble").assert_outcomes(passed=2, failed=1)
    result = run(tests, "-o", "no_trouble_ms=1000")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_forgets - Failed: 1 exception of fail went unhandled: *"])


def test_a_misspelt_rule_is_an_error(run: Run) -> None:
    """It would allow nothing, or too much."""
    result = run(LOST.replace("def test", "@pytest.mark.no_trouble(allow=['task'])\ndef test"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_trouble: allow: no rule task; one of *tasks*"])


def test_where_a_part_cannot_watch_a_test_is_not_green(run: Run) -> None:
    """A test that is well as far as is known is told to be unknown; one in trouble fails for that."""
    result = run(
        # As on a Python whose tasks the probe cannot find.
        "from harness.probe.tasks import census\n"
        "census.why_no_census = lambda: 'asyncio registers its tasks in an unknown way'\n"
        + LOST
        + """
@pytest.mark.asyncio
async def test_is_well():
    await asyncio.sleep(0.01)
""",
        "--no-trouble=1000",
    )

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["FAILED *test_forgets - Failed: 1 exception of fail *"])
    result.stdout.fnmatch_lines(["FAILED *test_is_well - RuntimeError: trouble may be missing: *census*"])


def test_what_an_earlier_test_left_behind_is_no_trouble_of_the_next(run: Run) -> None:
    """A task that died before, and an exception that the collector finds later."""
    result = run("""
kept = []

async def fail():
    raise LookupError("no such host")

async def leave():
    kept.append(asyncio.create_task(fail()))
    await asyncio.sleep(0.05)
    kept.append(asyncio.create_task(fail()))
    await asyncio.sleep(0.05)

def test_leaves():
    asyncio.run(leave())

@pytest.mark.no_trouble(limit_ms=1000)
def test_is_well():
    kept.pop()
    asyncio.run(asyncio.sleep(1.5))
""")

    result.assert_outcomes(passed=2)


def test_a_test_that_fails_keeps_its_own_failure_with_the_trouble_as_a_note(run: Run) -> None:
    """Both are told."""
    result = run(LOST + "    assert not 'sold out'", "--no-trouble")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError*"])
    result.stdout.fnmatch_lines(["*1 exception of fail went unhandled: *"])


@pytest.mark.parametrize(
    ("option", "text"), [("--markers", "@pytest.mark.no_trouble(*"), ("--help", "*--no-trouble=*")]
)
def test_pytest_explains_the_marker_and_the_option(run: Run, option: str, text: str) -> None:
    """As it does with all others."""
    run("", option).stdout.fnmatch_lines([text])
