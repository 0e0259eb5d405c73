"""Three tasks that take turns on one loop: one sleeps in a call, one computes in Python, one in C.

``python mixture.py SECONDS [pyinstrument | ddtrace]`` prints the time of each by its own clock, as JSON; with
pyinstrument, what that saw of them as well; with ddtrace, whose profile goes where its variables say, the
names of its spans by their ids. Each task has a span of its own name: ddtrace's there, else OpenTelemetry's,
where that is.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import contextmanager, nullcontext

try:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    span = trace.get_tracer("mixture").start_as_current_span
except ImportError:
    span = nullcontext

NUMBERS = [n * 7919 % 100_003 for n in range(30_000)]
truth: Counter[str] = Counter()


def sleeping():
    time.sleep(0.006)


def computing():
    total = 0
    for number in range(60_000):
        total += number


def sorting():
    sorted(NUMBERS)


async def work(call, end_s, span):
    with span(call.__name__):
        while (began := time.perf_counter()) < end_s:
            call()
            truth[call.__name__] += time.perf_counter() - began
            await asyncio.sleep(0)


async def main(seconds, span=span):
    end_s = time.perf_counter() + seconds
    await asyncio.gather(*(work(call, end_s, span) for call in (sleeping, computing, sorting)))


def profiled(seconds):
    from pyinstrument import Profiler
    from pyinstrument.renderers import JSONRenderer

    with Profiler(interval=0.005, async_mode="disabled") as profiler:
        asyncio.run(main(seconds))
    seen: Counter[str] = Counter()

    def walk(frame):
        if frame["function"] in truth:
            seen[frame["function"]] += frame["time"]
        else:
            for child in frame["children"]:
                walk(child)

    walk(json.loads(profiler.output(JSONRenderer()))["root_frame"])
    return seen


def traced(seconds):
    import ddtrace
    from ddtrace.profiling import Profiler

    names = {}

    @contextmanager
    def span(name):
        with ddtrace.tracer.trace(name) as current:
            names[current.span_id] = name
            yield

    profiler = Profiler()
    profiler.start()
    asyncio.run(main(seconds, span))
    profiler.stop()
    return names


if __name__ == "__main__":
    length = float(sys.argv[1])
    if sys.argv[2:] == ["pyinstrument"]:
        seen = profiled(length)
        print(json.dumps({"truth": truth, "seen": seen}))
    elif sys.argv[2:] == ["ddtrace"]:
        names = traced(length)
        print(json.dumps({"truth": truth, "names": names}))
    else:
        asyncio.run(main(length))
        print(json.dumps({"truth": truth}))
