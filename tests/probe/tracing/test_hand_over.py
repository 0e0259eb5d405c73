"""Where traces end: real programs whose spans lose their parent, and others that look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read.finding import Finding
from harness.record.event import SpansCutOff
from tests.support.judged import findings_of, program_line
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.watched import Outcome, watched

# `{body}` defines `request(n)`, which runs twelve times, four at a time, each in a span.
PROGRAM = """
import asyncio, concurrent.futures, contextvars, functools, queue, threading, time
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("shop")
pool = concurrent.futures.ThreadPoolExecutor(2)

def price(n=0):
    with tracer.start_as_current_span("price"):
        time.sleep(0.002)

{body}

async def traced(n):
    with tracer.start_as_current_span("checkout"):
        await request(n)

async def main():
    global loop
    loop = asyncio.get_running_loop()
    for n in range(3):
        await asyncio.gather(*(traced(n) for _ in range(4)))
    {last}

asyncio.run(main())
"""


def program(body: str, last: str = "pass") -> str:
    return PROGRAM.format(body=body.strip("\n"), last=last)


def findings(seen: Outcome) -> list[Finding]:
    """What the report of a program says of its traces."""
    assert (seen.status, seen.stderr) == (0, "")
    return findings_of("spans", seen)


EXECUTOR = """
async def request(n):
    await loop.run_in_executor(pool, price, n)
"""
DEFAULT = """
class Client:
    def fetch(self):
        with tracer.start_as_current_span("connect"):
            pass
        price()

async def request(n):
    await helper(functools.partial(Client().fetch))

async def helper(function):
    return await loop.run_in_executor(None, function)
"""
SUBMIT = """
async def request(n):
    await asyncio.wrap_future(pool.submit(price))
"""
THREAD = """
async def request(n):
    thread = threading.Thread(target=price)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
"""
SUBCLASS = """
class Worker(threading.Thread):
    def run(self):
        price()

async def request(n):
    worker = Worker()
    worker.start()
    while worker.is_alive():
        await asyncio.sleep(0.001)
"""
CALLBACK = """
def fetch(done):
    loop.call_soon_threadsafe(finish, done)

def finish(done):
    with tracer.start_as_current_span("finish"):
        done.set_result(None)

async def request(n):
    done = loop.create_future()
    pool.submit(fetch, done)
    await done
"""
COROUTINE = """
def fetch():
    asyncio.run_coroutine_threadsafe(store(), loop).result()

async def store():
    with tracer.start_as_current_span("store"):
        await asyncio.sleep(0.001)

async def request(n):
    await loop.run_in_executor(pool, fetch)
"""


@pytest.mark.parametrize(
    ("body", "how", "line", "told"),
    [
        (EXECUTOR, "run_in_executor", "run_in_executor(pool", '12 spans "price" of price'),
        (
            DEFAULT,
            "run_in_executor",
            "run_in_executor(None",
            '24 spans "connect" and 1 other name of Client.fetch',
        ),
        (SUBMIT, "submit", "pool.submit(price", '12 spans "price" of price'),
        (THREAD, "Thread.start", "thread.start()", '12 spans "price" of price'),
        (SUBCLASS, "Thread.start", "worker.start()", '12 spans "price" of Worker.run'),
        (CALLBACK, "submit", "pool.submit(fetch", '12 spans "finish" of fetch'),
        (COROUTINE, "run_in_executor", "run_in_executor(pool", '12 spans "store" of fetch'),
    ],
    ids=["executor", "default executor", "submit", "thread", "subclass", "callback", "coroutine"],
)
def test_the_line_at_which_a_trace_ends_is_named(
    body: str, how: str, line: str, told: str, tmp_path: Path
) -> None:
    """It handed work over without the context, and every span of this work is a root."""
    seen = watched(program(body), tmp_path)

    (found,) = findings(seen)
    at = program_line(line, tmp_path)
    assert found.message == (
        f'the trace of "checkout" ends at {how} (program.py:{at}): {told} began without a parent'
    )
    assert (found.level, found.line) == ("warning", at)
    assert "contextvars.copy_context().run" in found.next
    assert found.weight > 0


def test_traces_that_began_in_another_service_are_followed_from_the_first_on(tmp_path: Path) -> None:
    """Without a root span before, by which the SDK would be noticed as well."""
    elsewhere = """
caller = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
remote = trace.set_span_in_context(trace.NonRecordingSpan(caller))
"""
    text = program(elsewhere + EXECUTOR).replace('("checkout")', '("checkout", context=remote)')
    seen = watched(text, tmp_path)

    assert [(cut.how, cut.works) for cut in seen.of(SpansCutOff)][-1:] == [("run_in_executor", 12)]


HEALTHY = {
    "to_thread": """
async def request(n):
    await asyncio.to_thread(price, n)
""",
    "context copied by hand": """
async def request(n):
    await loop.run_in_executor(pool, contextvars.copy_context().run, price)
""",
    "a pool that attaches the context itself": """
class Pool(concurrent.futures.ThreadPoolExecutor):
    def submit(self, fn, *args):
        return super().submit(self.attached, context.get_current(), fn, *args)

    def attached(self, current, fn, *args):
        token = context.attach(current)
        try:
            return fn(*args)
        finally:
            context.detach(token)

pool = Pool(2)

async def request(n):
    await loop.run_in_executor(pool, price, n)
""",
    "links instead of parents": """
def linked(link):
    with tracer.start_as_current_span("job", links=[link]):
        pass

async def request(n):
    link = trace.Link(trace.get_current_span().get_span_context())
    await loop.run_in_executor(pool, linked, link)
""",
    "a new trace on purpose": """
def audit():
    with tracer.start_as_current_span("audit", context=context.Context()):
        pass

async def request(n):
    await loop.run_in_executor(pool, audit)
""",
    "work without spans": """
async def request(n):
    await loop.run_in_executor(pool, time.sleep, 0.001)
""",
    "a periodic task with its own traces": """
async def periodic():
    while True:
        await loop.run_in_executor(pool, price)

async def request(n):
    global task
    if n == 0:
        task = contextvars.Context().run(asyncio.create_task, periodic())
    await asyncio.sleep(0.01)
""",
    "a thread that the first request started for all": """
jobs, started = queue.SimpleQueue(), []

def serve():
    while (job := jobs.get()) is not None:
        price()
        loop.call_soon_threadsafe(job.set_result, None)

async def request(n):
    if not started:
        started.append(threading.Thread(target=serve, daemon=True))
        started[0].start()
    job = loop.create_future()
    jobs.put(job)
    await job
""",
    "jobs at the start": """
async def request(n):
    pass

with concurrent.futures.ThreadPoolExecutor(2) as early:
    list(early.map(price, range(12)))
threads = [threading.Thread(target=price) for _ in range(4)]
[thread.start() for thread in threads]
""",
    "work that goes on when the request is over": """
def later():
    time.sleep(0.05)
    price()

async def request(n):
    threading.Thread(target=later).start()
""",
}


@pytest.mark.parametrize("body", HEALTHY.values(), ids=HEALTHY.keys())
def test_a_trace_that_goes_on_or_is_new_on_purpose_is_no_finding(body: str, tmp_path: Path) -> None:
    """The context goes along, or the root span has none to lose."""
    seen = watched(program(body), tmp_path)

    assert findings(seen) == []


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_python_is_seen_alike(version: str, tmp_path: Path) -> None:
    """Whatever its executors keep of a call; it uses this Python's packages."""
    import opentelemetry.sdk

    python = needs_python(version)
    packages = str(Path(opentelemetry.sdk.__path__[0]).parents[1])
    found_there = f"import sys; sys.path.append({packages!r})"
    text = PROGRAM.replace("import asyncio, concurrent", f"{found_there}\nimport asyncio, concurrent", 1)
    seen = watched(text.format(body=EXECUTOR, last="pass"), tmp_path, python=python)

    assert [(cut.how, cut.works) for cut in seen.of(SpansCutOff)][-1:] == [("run_in_executor", 12)]


def test_uvloop_is_seen_alike(tmp_path: Path) -> None:
    """Its own `run_in_executor` has no frame in Python, so the call below it is named."""
    pytest.importorskip("uvloop")
    text = program(EXECUTOR).replace("asyncio.run(main())", "import uvloop; uvloop.run(main())")
    seen = watched(text, tmp_path)

    (found,) = findings(seen)
    assert found.line == program_line("run_in_executor(pool", tmp_path)
