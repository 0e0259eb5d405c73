"""A program that floods the probe: its memory stays bounded, and what is not kept is counted and told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from harness.probe.hooks.step_hook import ROOM
from harness.record import packing
from harness.record.event import (
    Blocked,
    CallsCounted,
    ExceptionLost,
    ProbeClosed,
    Sampled,
    SamplesCounted,
    SpanEnded,
    StepsTaken,
    WriterClosed,
)
from harness.record.writer import CAPACITY
from tests.support.commanded import Ended, running
from tests.support.recorded import recorded

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

# It floods twice, and prints how much memory it has each time, before anything is written.
PROGRAM = """
    import asyncio, gc, itertools, json, os, sys, time
    from opentelemetry.sdk.trace import TracerProvider

    flood, small, large, bound = sys.argv[1:]
    tracer = TracerProvider().get_tracer("flood")
    numbers = itertools.count()

    def rss_mb():
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024

    async def all_written():
        # At the end of a process the probe takes a second for that; a slow machine needs more.
        before, last = -1_000_000, 0
        while last - before > 100_000:  # what it writes of a quiet program is less
            await asyncio.sleep(1)
            before, last = last, int(open("/proc/self/io").read().split()[3])

    def functions(count, body):
        for _ in range(count):
            number, space = next(numbers), {"os": os, "time": time}
            exec(compile(f"def made_{number}(): {body}", f"{os.getcwd()}/made_{number}.py", "exec"), space)
            yield space[f"made_{number}"]

    async def spans(count):
        sys.setswitchinterval(1000)  # no other thread gets the GIL until all are made
        for _ in range(count):
            tracer.start_span("flood").end()
        sys.setswitchinterval(0.005)

    async def waits(count):
        async def wait(number):
            with tracer.start_as_current_span("flood"):
                await asyncio.sleep(0)
        for _ in range(count // 100):
            await asyncio.gather(*map(wait, range(100)))

    async def calls(count):
        for function in functions(count, "os.stat('.')"):
            function()

    async def exceptions(count):
        loop = asyncio.get_running_loop()
        for function in functions(count, "raise ValueError"):
            loop.call_soon(function)
        await asyncio.sleep(0)

    async def turns(count):
        for function in functions(count, "time.sleep(0.003)"):
            function()
            await asyncio.sleep(0)

    async def samples(count):
        for function in functions(count, "sum(range(100_000))"):
            function()
            await asyncio.sleep(0)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        if bound == "removed":
            for found in gc.get_objects():
                if type(found).__name__ == "Writer":
                    found._capacity = sys.maxsize
        rss = []
        for count in (small, large):
            await globals()[flood](int(count))
            rss.append(rss_mb())
            await all_written()
        print(json.dumps(rss), flush=True)

    asyncio.run(main())
"""
# More than this is growth; of spans without a bound it is several times as much.
NOISE_MB = 40
# Both fill the buffer.
SPANS_SMALL, SPANS_LARGE = CAPACITY + 500, 3 * CAPACITY


@dataclass(frozen=True)
class Flooded:
    """A run of the program."""

    ended: Ended
    grown_mb: float

    def told(self) -> list[str]:
        return [one["message"] for one in self.ended.report["findings"] if one["level"] != "note"]


def flooding(tmp_path: Path, flood: str, small: int, large: int, *, bound: str = "kept") -> list[str]:
    """The command of the program; where the *bound* is "removed", the probe's buffer has none."""
    (tmp_path / "program.py").write_text(dedent(PROGRAM))
    return ["--", sys.executable, "program.py", flood, str(small), str(large), bound]


def grown_mb(stdout: str) -> float:
    """How much more memory the program had after the second flood."""
    small_mb, large_mb = json.loads(stdout)
    return float(large_mb - small_mb)


def flooded(tmp_path: Path, flood: str, small: int, large: int, *options: str) -> Flooded:
    command = flooding(tmp_path, flood, small, large)
    with running("watch", *options, *command, cwd=tmp_path) as run:
        ended = run.ended(within_s=240)
    assert ended.status == 0, ended.stderr
    return Flooded(ended, grown_mb(ended.stdout))


def test_spans_beyond_the_buffer_are_dropped_and_told(tmp_path: Path) -> None:
    """Faster than they can be written: each is in the record or counted, and the report says how many."""
    seen = flooded(tmp_path, "spans", SPANS_SMALL, SPANS_LARGE, "--waits")
    events = seen.ended.folder.events

    (probe,) = recorded(events, ProbeClosed)
    (target,) = (closed for closed in recorded(events, WriterClosed) if closed.dropped)
    assert seen.grown_mb < NOISE_MB
    assert probe.spans_dropped >= SPANS_LARGE - CAPACITY
    assert len(recorded(events, SpanEnded)) + probe.spans_dropped == SPANS_SMALL + SPANS_LARGE
    # Of a span that is not kept, its beginning was to be logged all the same.
    assert recorded(events, StepsTaken)[-1].dropped >= SPANS_LARGE - ROOM
    assert seen.ended.report["overhead"]["events_dropped"] == target.dropped >= probe.spans_dropped
    assert f"{probe.spans_dropped:,} spans dropped" in seen.told()
    assert any(message.endswith(f"dropped {target.dropped:,} events") for message in seen.told())


def test_a_buffer_without_a_bound_would_be_seen(tmp_path: Path) -> None:
    """The same flood, after the program has taken the bound away: its memory grows."""
    command = flooding(tmp_path, "spans", SPANS_SMALL, SPANS_LARGE, bound="removed")
    with running("watch", *command, cwd=tmp_path) as run:
        assert grown_mb(run.process.stdout.readline()) > 1.5 * NOISE_MB


class Flood(NamedTuple):
    """What is sent by the program, and how much of it the record accounts for, by its folder."""

    name: str
    small: int
    large: int
    accounted: Callable[[Path], int]
    options: tuple[str, ...] = ()


def waits(events: Path) -> int:
    return sum(len(packing.unpack(taken.spans, 4)) for taken in recorded(events, StepsTaken))


def calls(events: Path) -> int:
    latest = {
        (event.file, event.argument): event.count
        for event in recorded(events, CallsCounted)
        if event.call == "os.stat"
    }
    return sum(latest.values())


def exceptions(events: Path) -> int:
    latest = {event.stack: event.count for event in recorded(events, ExceptionLost)}
    return sum(latest.values()) + sum(closed.losses_dropped for closed in recorded(events, ProbeClosed))


def turns(events: Path) -> int:
    own = [turn for turn in recorded(events, Blocked) if turn.ended and turn.held_ns < 1e9]
    return len(own)


FLOODS = (
    Flood("waits", 1_000, 8_000, waits, ("--waits",)),
    Flood("calls", 1_000, 8_000, calls, ("--calls",)),
    Flood("exceptions", 1_000, 8_000, exceptions),
    Flood("turns", 100, 1_000, turns, ("--block-ms", "1")),
)


@pytest.mark.parametrize("flood", FLOODS, ids=[flood.name for flood in FLOODS])
def test_everything_else_is_bounded_and_accounted_for(flood: Flood, tmp_path: Path) -> None:
    """Steps, calls, lost exceptions and late turns, each at ever new places: all are kept or counted."""
    seen = flooded(tmp_path, flood.name, flood.small, flood.large, *flood.options)

    assert seen.grown_mb < NOISE_MB
    assert seen.ended.report["overhead"]["events_dropped"] == 0
    sent = flood.small + flood.large
    accounted = flood.accounted(seen.ended.folder.events)
    # A busy machine makes other turns late, too.
    assert accounted >= sent if flood.name == "turns" else accounted == sent


def test_samples_are_bounded_and_accounted_for(tmp_path: Path) -> None:
    """A thousand per second, nearly all of different stacks."""
    seen = flooded(tmp_path, "samples", 200, 1_500, "--sample", "1000")
    events = seen.ended.folder.events

    counted = recorded(events, SamplesCounted)[-1]
    kept = sum(sampled.count for sampled in recorded(events, Sampled) if sampled.way == "signal")
    assert seen.grown_mb < NOISE_MB
    assert 0 < kept <= counted.ticks <= kept + counted.lost
