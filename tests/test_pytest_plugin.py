"""The pytest plugin in runs of pytest: which tests fail for blocking their loop, and with which words."""

from __future__ import annotations

import pytest

from tests.support.plugin_run import Run, runner


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in a process of its own on a module of tests."""
    return runner(pytester, monkeypatch)


def test_a_marked_test_fails_when_it_blocks_whatever_runs_its_loop(run: Run) -> None:
    """pytest-asyncio, anyio's plugin, `asyncio.run` and unittest: each blocking test fails, no other."""
    result = run("""
@pytest.mark.no_blocks(limit_ms=100)
class TestMarked:
    @pytest.mark.asyncio
    async def test_asyncio_blocks(self):
        await hold()

    @pytest.mark.asyncio
    async def test_asyncio_is_well(self):
        await asyncio.sleep(0.2)

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_anyio_blocks(self, anyio_backend):
        await hold()

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_anyio_is_well(self, anyio_backend):
        await asyncio.sleep(0.2)

    def test_run_blocks(self):
        asyncio.run(hold())

    def test_run_is_well(self):
        asyncio.run(asyncio.sleep(0.2))

    def test_without_a_loop_is_well(self):
        pause(0.2)

@pytest.mark.no_blocks(100)
class TestCase(unittest.IsolatedAsyncioTestCase):
    async def test_unittest_blocks(self):
        await hold()

    async def test_unittest_is_well(self):
        await asyncio.sleep(0.2)
""")

    result.assert_outcomes(failed=4, passed=5)
    for name in ("asyncio", "anyio", "run", "unittest"):
        result.stdout.fnmatch_lines(
            [f"FAILED *test_{name}_blocks* - Failed: pause held the event loop for *"]
        )


def test_the_failure_says_what_blocked_where_for_how_long_in_which_task_and_whom(run: Run) -> None:
    """The stack's own frames too, and nothing of the plugin's."""
    result = run("""
async def serve():
    waiting = asyncio.create_task(asyncio.sleep(0.02), name="victim")
    await asyncio.create_task(hold(), name="worker")
    await waiting

@pytest.mark.no_blocks(limit_ms=100)
def test_serve():
    asyncio.run(serve())
""")

    result.stdout.fnmatch_lines(
        [
            "*_ test_serve _*",
            "pause held the event loop for 2?? ms (limit 100 ms): waiting in a call",
            "    at test_it.py:5",
            "    in task worker, coroutine hold",
            "    through hold at test_it.py:9",
            "    through pause at test_it.py:5",
            "    delayed victim by * ms",
            "    Use the asynchronous form of the call, *",
            "*= short test summary info =*",
        ],
        consecutive=True,
    )


def test_only_the_call_counts_and_not_its_fixtures(run: Run) -> None:
    """What blocks a loop in setup or teardown is not held against the test."""
    result = run("""
import pytest_asyncio
pytestmark = pytest.mark.no_blocks(limit_ms=100)

@pytest_asyncio.fixture
async def slow():
    await hold()
    yield hold
    await hold()

@pytest.mark.asyncio
async def test_well(slow):
    await asyncio.sleep(0.01)

@pytest.mark.asyncio
async def test_blocks(slow):
    await slow()
""")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED *test_blocks*"])


def test_a_loop_that_a_fixture_runs_in_a_thread_counts(run: Run) -> None:
    """The client of a web framework's tests has its application's loop in another thread."""
    result = run("""
@pytest.fixture(scope="session")
def client():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

def test_unmarked(client):
    client(hold())

@pytest.mark.no_blocks(limit_ms=100)
def test_blocks(client):
    client(hold())

@pytest.mark.no_blocks(limit_ms=100)
def test_well(client):
    client(asyncio.sleep(0.2))
""")

    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["FAILED *test_blocks*"])


def test_a_block_is_a_failure_of_the_call(run: Run) -> None:
    """So what pytest does with failures holds: an expected one is none."""
    result = run("""
@pytest.mark.xfail(strict=True, reason="known to block")
@pytest.mark.no_blocks(limit_ms=100)
def test_known():
    asyncio.run(hold())

@pytest.mark.xfail(strict=True, reason="was known to block")
@pytest.mark.no_blocks(limit_ms=100)
def test_mended():
    asyncio.run(hold(0))
""")

    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_mended*"])


def test_a_test_that_fails_by_itself_keeps_its_failure(run: Run) -> None:
    """The blocks come with it, as a note."""
    result = run("""
@pytest.mark.no_blocks(limit_ms=100)
def test_wrong():
    asyncio.run(hold())
    assert 1 + 1 == 3
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E       assert (1 + 1) == 3", "E       pause held the event loop for * ms (limit 100 ms)*"]
    )


EVERY_TEST = """
def test_unmarked():
    asyncio.run(hold())

@pytest.mark.no_blocks(limit_ms=1000)
def test_allowed_more():
    asyncio.run(hold())

@pytest.mark.no_blocks(limit_ms=None)
def test_taken_out():
    asyncio.run(hold())

@pytest.mark.no_blocks
def test_with_the_default():
    asyncio.run(hold())
"""


@pytest.mark.parametrize(
    ("options", "failing"),
    [
        ([], {"test_with_the_default"}),
        (["--no-blocks"], {"test_unmarked", "test_with_the_default"}),
        (["--no-blocks=100"], {"test_unmarked", "test_with_the_default"}),
        (["--no-blocks=1000"], set()),
        (["-o", "no_blocks_ms=100"], {"test_unmarked", "test_with_the_default"}),
        (["-o", "no_blocks_ms=100", "--no-blocks=1000"], set()),
    ],
    ids=lambda words: " ".join(sorted(words)),
)
def test_the_limit_is_the_nearest_markers_then_the_commands_then_the_settings(
    options: list[str], failing: set[str], run: Run
) -> None:
    """Of every test `--no-blocks` and `no_blocks_ms` ask the same; a marker says otherwise."""
    result = run(EVERY_TEST, *options)

    failed = {line.split("::")[1].split()[0] for line in result.outlines if line.startswith("FAILED")}
    assert failed == failing
    result.assert_outcomes(failed=len(failing), passed=4 - len(failing))


def test_the_fixture_gives_the_watch_of_a_test(run: Run) -> None:
    """By the limit that holds for the test, which then fails by its own assertions alone."""
    result = run("""
@pytest.mark.asyncio
async def test_blocks(watch_loop):
    await hold()
    (block,) = watch_loop.blocks
    assert (block.function, watch_loop.limit_ms) == ("pause", 50)

@pytest.mark.no_blocks(limit_ms=1000)
def test_well(watch_loop):
    asyncio.run(hold())
    assert (watch_loop.blocks, watch_loop.limit_ms) == ((), 1000)
""")

    result.assert_outcomes(passed=2)


def test_a_run_that_asks_for_nothing_is_left_alone(run: Run) -> None:
    """Neither the detector nor a rule of it is loaded, and no loop is told about."""
    result = run("""
import sys

def test_unmarked():
    asyncio.run(hold(0))
    loaded = [name for name in sys.modules if name.startswith("harness")]
    assert sorted(loaded) == ["harness", "harness.pytest_plugin"]
    assert asyncio._set_running_loop.__module__ == "_asyncio"
""")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("text", ["tests/unit", "0", "nan"])
def test_a_limit_that_is_none_is_refused_before_any_test_runs(text: str, run: Run) -> None:
    """As when a path is taken for it."""
    result = run(EVERY_TEST, "--no-blocks", text)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --no-blocks=MS: expected a number of milliseconds, at least 1, got '{text}'"]
    )


def test_a_misspelt_argument_of_the_marker_is_named(run: Run) -> None:
    """The test fails instead of going unwatched."""
    result = run("""
@pytest.mark.no_blocks(limit=100)
def test_misspelt():
    pass
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_blocks() got an unexpected keyword argument 'limit'*"])
