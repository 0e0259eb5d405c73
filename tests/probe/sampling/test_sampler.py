"""The sampler: each tick goes to the task and span that ran, and the program notices nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record.event import Frame, FrameTable, ProbeClosed, ProbeFailed, Sampled, SamplesCounted
from tests.support.watched import Outcome, watched

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

# What every program begins with; `truth` is what it measured itself, in seconds.
HEAD = """
import asyncio, json, os, re, signal, sys, threading, time
from collections import Counter
from contextlib import contextmanager
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
span = trace.get_tracer("test").start_as_current_span
truth = Counter()

def burn(ms):
    end = time.perf_counter() + ms / 1000
    while time.perf_counter() < end:
        pass

@contextmanager
def timed(name):
    began = time.perf_counter()
    yield
    truth[name] += time.perf_counter() - began

"""


def sampled(program: str, tmp_path: Path, hz: int = 200) -> Outcome:
    seen = watched(HEAD + program, tmp_path, sample_hz=hz)
    assert (seen.status, seen.stderr) == (0, "")
    assert seen.of(ProbeFailed) == []
    return seen


def by(seen: Outcome, attribute: str, way: str = "signal") -> Counter[str]:
    """The ticks by an attribute of their samples."""
    ticks: Counter[str] = Counter()
    for sample in seen.of(Sampled):
        if sample.way == way:
            ticks[getattr(sample, attribute)] += sample.count
    return ticks


def stacks(seen: Outcome) -> Iterator[tuple[Sampled, list[Frame]]]:
    """Each sample with its stack, outermost first."""
    calls: dict[int, tuple[int, Frame]] = {}
    for event in seen.of(FrameTable):
        rows = zip(event.callers, event.frames, strict=True)
        calls.update(enumerate(rows, event.first))
    for sample in seen.of(Sampled):
        stack: list[Frame] = []
        number = sample.stack
        while number:
            number, frame = calls[number]
            stack.insert(0, frame)
        yield sample, stack


def functions(seen: Outcome) -> Iterator[tuple[Sampled, list[str]]]:
    for sample, stack in stacks(seen):
        yield sample, [frame.function for frame in stack]


def reached(seen: Outcome) -> SamplesCounted:
    return seen.of(SamplesCounted)[-1]


TWO_TASKS = """
async def work(name, ms):
    with span(name):
        for _ in range(60):
            with timed(name):
                burn(ms)
            await asyncio.sleep(0)

async def main():
    await asyncio.gather(work("long", 15), work("short", 5))
    print(json.dumps(truth))

asyncio.run(main())
"""


def test_shares_of_interleaving_tasks_are_the_true_ones(tmp_path: Path) -> None:
    """Two tasks that take turns on one loop: each span has its share of the ticks, within 4 points."""
    seen = sampled(TWO_TASKS, tmp_path)

    ticks, truth = by(seen, "span"), seen.said
    share = ticks["long"] / (ticks["long"] + ticks["short"])
    assert abs(share - truth["long"] / sum(truth.values())) < 0.04
    assert reached(seen).lost < reached(seen).ticks / 20


MIXED = """
queue = asyncio.Queue()

def burn_request(): burn(3)
def burn_child(): burn(3)
def burn_worker(): burn(3)
def burn_thread(): burn(30)
def burn_nobody(): burn(3)

async def child():
    with span("child"):
        for _ in range(10):
            burn_child()
            await asyncio.sleep(0)

async def request():
    with span("request"):
        for number in range(15):
            burn_request()
            await queue.put(number)
            await asyncio.to_thread(burn_thread)
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())
            burn_request()

async def worker():
    while True:
        await queue.get()
        with span("worker"):
            burn_worker()
        burn_nobody()

async def main():
    serving = asyncio.create_task(worker())
    await asyncio.gather(request(), request())
    serving.cancel()

asyncio.run(main())
"""


def test_no_sample_is_on_the_wrong_span(tmp_path: Path) -> None:
    """Child tasks, a queue to a worker, and an executor: what burns in a span is sampled in this span."""
    seen = sampled(MIXED, tmp_path, hz=500)

    found: Counter[tuple[str, str, str]] = Counter()
    for sample, names in functions(seen):
        for burner in [name for name in names if name.startswith("burn_")]:
            found[burner, sample.way, sample.span] += sample.count
    assert set(found) == {
        ("burn_request", "signal", "request"),
        ("burn_child", "signal", "child"),
        ("burn_worker", "signal", "worker"),
        ("burn_nobody", "signal", ""),
        ("burn_thread", "executor", "request"),
    }


TWICE = """
async def main():
    for name in ("first", "second"):
        began = time.monotonic_ns()
        burn(200)
        truth[name], truth[name + " ended"] = began, time.monotonic_ns()
        await asyncio.sleep(0.1)

asyncio.run(main())
print(json.dumps(truth))
"""


def test_each_look_has_its_time(tmp_path: Path) -> None:
    """Those at one place within a second are one sample, and it is told of each when it was."""
    seen = sampled(TWICE, tmp_path, hz=100)

    found: Counter[str] = Counter()
    for sample in seen.of(Sampled):
        looks = sample.offsets or (0, sample.count)
        assert sum(looks[1::2]) == sample.count
        times = [sample.at_ns + since_us * 1000 for since_us in looks[::2]]
        assert times == sorted(times)
        for at_ns, count in zip(times, looks[1::2], strict=True):
            found[
                next((n for n in ("first", "second") if seen.said[n] <= at_ns <= seen.said[n + " ended"]), "")
            ] += count
    assert found["first"] > 10
    assert found["second"] > 10
    assert found[""] <= 4


def test_a_sample_names_task_coroutine_thread_and_line(tmp_path: Path) -> None:
    """And the ids of its span, as in trace context; what stands around the turn is left out."""
    seen = sampled(TWO_TASKS, tmp_path)

    sample, stack = max(stacks(seen), key=lambda pair: pair[0].count)
    lines = [f"{frame.function}:{frame.line}" for frame in stack]
    assert (sample.task, sample.coroutine, sample.thread) == ("Task-2", "work", "MainThread")
    assert (len(sample.trace_id), len(sample.span_id)) == (32, 16)
    assert lines[0].startswith("Handle._run:")
    assert lines[1] == "work:28"
    assert lines[2] in ("burn:13", "burn:14", "burn:15")


CALLS = """
async def main():
    with timed("sleep"):
        time.sleep(0.5)
    with timed("regex"):
        re.match(r"(a+)+$", "a" * 23 + "b")
    with timed("burn"):
        burn(500)
    await asyncio.sleep(0)
    print(json.dumps(truth))

asyncio.run(main())
"""


def test_a_call_counts_for_all_the_ticks_it_has_missed(tmp_path: Path) -> None:
    """One that waits, and one in C that keeps the GIL: both have the share of time they took."""
    seen = sampled(CALLS, tmp_path)

    lines: Counter[int] = Counter()
    for sample, stack in stacks(seen):
        lines[next((f.line for f in stack if f.function == "main"), 0)] += sample.count
    truth, total = seen.said, sum(lines.values())
    for name, line in {"sleep": 26, "regex": 28, "burn": 30}.items():
        assert abs(lines[line] / total - truth[name] / sum(truth.values())) < 0.06, name


IDLE = """
async def main():
    if "{handler}":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
    burn(50)
    for _ in range(4):
        await asyncio.sleep(0.4)

asyncio.run(main())
"""


@pytest.mark.parametrize("handler", ["", "with a signal handler of the loop's"])
def test_an_idle_loop_is_left_in_peace(tmp_path: Path, handler: str) -> None:
    """A tick that finds it waiting is the last one until it is awake: neither samples nor wake-ups."""
    seen = sampled(IDLE.replace("{handler}", handler), tmp_path, hz=500)

    assert reached(seen).ticks < 60
    # 10 without a sampler; each wait may be ended by one tick.
    assert seen.of(ProbeClosed)[0].turns < 40


@pytest.mark.long
def test_short_turns_between_waits_are_sampled_by_their_share(tmp_path: Path) -> None:
    """A turn that is shorter than the time between two ticks is met as often as it is long."""
    seen = sampled(
        """
async def work(name, ms):
    with span(name):
        for _ in range(150):
            with timed(name):
                burn(ms)
            await asyncio.sleep(0.013)

async def main():
    await work("three", 3)
    await work("one", 1)
    print(json.dumps(truth))

asyncio.run(main())
""",
        tmp_path,
        hz=100,
    )

    ticks, truth = by(seen, "span"), seen.said
    expected = sum(truth.values()) * 100
    assert expected / 2 < ticks.total() < expected * 2
    assert abs(ticks["three"] / ticks.total() - truth["three"] / sum(truth.values())) < 0.15


BLOCKED = """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: print("heard", flush=True))
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGTERM)
    burn(100)
    await asyncio.sleep(0.1)

asyncio.run(main())
"""


def test_a_long_block_does_not_drown_the_programs_signals(tmp_path: Path) -> None:
    """asyncio hears of signals through a small pipe: ticks leave room in it, and there is no warning."""
    seen = sampled(BLOCKED, tmp_path, hz=1000)

    assert seen.stdout == "heard\n"
    assert 1000 < by(seen, "coroutine")["main"] <= 1700


def test_a_programs_own_alarms_and_exceptions_pass_through(tmp_path: Path) -> None:
    """It has SIGALRM for itself; what its handler raises arrives, wherever it was interrupted."""
    seen = sampled(
        """
class Alarm(Exception):
    pass

rung = caught = 0

def on_alarm(*_):
    global rung
    rung += 1
    raise Alarm

async def main():
    global caught
    signal.signal(signal.SIGALRM, on_alarm)
    for _ in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0007)
            burn(100)
        except Alarm:
            caught += 1
    print(json.dumps([rung, caught]))

asyncio.run(main())
""",
        tmp_path,
        hz=1000,
    )

    rung, caught = seen.said
    assert rung == caught == 300


@pytest.mark.long
def test_a_program_may_become_another_one(tmp_path: Path) -> None:
    """`exec` while ticks are on their way: none of them reaches the new program, which it would end."""
    seen = sampled(
        """
async def main():
    burn(10)
    number = int(sys.argv[1]) if sys.argv[1:] else 0
    if number < 12:
        os.execv(sys.executable, [sys.executable, __file__, str(number + 1)])
    print("the last one")

asyncio.run(main())
""",
        tmp_path,
        hz=1000,
    )

    assert seen.stdout == "the last one\n"
    assert len(seen.sources) == 13


def test_a_forked_child_goes_on_alone(tmp_path: Path) -> None:
    """The child of a process that is sampled has samples of its own loop, and both end well."""
    seen = sampled(
        """
async def work(ms):
    burn(ms)

async def main():
    burn(50)
    if child := os.fork():
        return child
    # Here: since Python 3.14, a child that returns into its parent's loop has an error there.
    asyncio.run(work(100))
    os._exit(0)

print(os.waitpid(asyncio.run(main()), 0)[1])
""",
        tmp_path,
    )

    assert seen.stdout.splitlines()[-1] == "0"
    assert len({sample.pid for sample in seen.of(Sampled)}) == 2


def test_a_loop_in_another_thread_is_looked_at_from_beside(tmp_path: Path) -> None:
    """No signal is handled there; its samples are marked, and know task and span all the same."""
    seen = sampled(
        """
async def main():
    with span("aside"):
        for _ in range(30):
            burn(10)
            await asyncio.sleep(0)

thread = threading.Thread(target=asyncio.run, args=(main(),), name="aside")
thread.start()
thread.join()
""",
        tmp_path,
    )

    ways = Counter((s.way, s.thread, s.coroutine, s.span) for s in seen.of(Sampled) if s.task)
    assert set(ways) - {("thread", "aside", "main", "")} == {("thread", "aside", "main", "aside")}


def test_uvloop_is_sampled_by_signal_too(tmp_path: Path) -> None:
    """It has no selector in Python to tell when it waits: what has no frame of the program is not counted."""
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    seen = sampled(
        """
import uvloop

async def main():
    with span("busy"):
        for _ in range(30):
            with timed("busy"):
                burn(10)
            await asyncio.sleep(0)
    await asyncio.sleep(0.5)
    print(json.dumps(truth))

uvloop.run(main())
""",
        tmp_path,
    )

    ticks, expected = by(seen, "span"), seen.said["busy"] * 200
    assert expected * 0.6 < ticks["busy"] < expected * 1.5
    assert ticks[""] < expected / 4


def test_an_exhausted_stack_does_not_break_the_program(tmp_path: Path) -> None:
    """Recursion to the very end, again and again: a tick that finds no room on the stack is lost, no more."""
    seen = watched(
        HEAD
        + """
def deep(n):
    return deep(n + 1) + 1

async def main():
    caught = 0
    for _ in range(300):
        try:
            deep(0)
        except RecursionError:
            caught += 1
    print(caught)

asyncio.run(main())
""",
        tmp_path,
        sample_hz=1000,
    )

    assert (seen.status, seen.stdout, seen.stderr) == (0, "300\n", "")
    assert reached(seen).ticks > 20
