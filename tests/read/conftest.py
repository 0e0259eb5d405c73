"""Records for the tests of what a record means: written with the real writer, in the real format."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

import pytest

from harness.read import history, report
from harness.read.blocks.block import Block
from harness.record import event, page, run, value
from harness.record.writer import Writer

APPLICATION = "/srv/shop/"
SITE = "/srv/shop/.venv/lib/python3.12/site-packages/"
STDLIB = "/usr/lib/python3.12/"
HARNESS = "/opt/harness"  # where the target loaded its probe from
LOOP_PID = 4242

# What runs the loop: these frames are in every stack, and never to blame.
OUTSIDE = (
    event.Frame(APPLICATION + "main.py", 90, "<module>"),
    event.Frame(STDLIB + "asyncio/runners.py", 194, "run"),
    event.Frame(STDLIB + "asyncio/base_events.py", 1987, "BaseEventLoop._run_once"),
    event.Frame(STDLIB + "asyncio/events.py", 88, "Handle._run"),
)


class Options(TypedDict, total=False):
    """What the manifest of a recording can have."""

    expectations: Sequence[tuple[str, str, float] | tuple[str, str, float, bool]]
    max_late_ms: float
    settings: dict[str, object]


class Watch(TypedDict, total=False):
    """The loop's thread from the first sample of a late turn on, with the names of `event.Blocked`."""

    cpu_ns: int
    queued_ns: int
    watched_ns: int


class Whole(TypedDict, total=False):
    """The loop's thread in the whole of it."""

    whole_cpu_ns: int
    whole_ns: int
    whole_queued_ns: int


class Figures(Watch, Whole, total=False):
    """All that may be known of a late turn."""

    woke_ns: int
    woke_queued_ns: int
    watcher_queued_ns: int
    others: tuple[event.OtherThread, ...]
    pauses: tuple[event.GcPause, ...]
    queue: tuple[event.QueuedCallbacks, ...]
    candidates: tuple[event.StepCandidate, ...]


class Recording:
    """A run's folder that is being written. Times are seconds since the run's start."""

    words: memoryview  # of the page, once there is a loop

    def __init__(self, path: Path, **options: Unpack[Options]) -> None:
        self.started_ns = time.monotonic_ns()
        manifest = run.Run(
            id="20260102-030405-shop-7f3a",
            scenario="shop",
            started="2026-01-02T03:04:05+00:00",
            started_ns=self.started_ns,
            seed=7,
            python="3.12.1",
            commit="0123456789abcdef",
            command=("python", "-m", "shop"),
            block_limit_ns=100_000_000,
            expectations=tuple(starmap(run.Expectation, options.get("expectations", ()))),
            max_late_ms=options.get("max_late_ms"),
            settings=options.get("settings", {}),
        )
        self.folder = run.create(path, manifest)
        self._writers: dict[str, Writer] = {}

    def at(self, at_s: float) -> int:
        """An instant on the record's clock."""
        return self.started_ns + round(at_s * 1e9)

    def write(self, role: str, *events: event.Event) -> None:
        """Write events into the file of the process with that role."""
        if role not in self._writers:
            self._writers[role] = Writer(self.folder.events, role)
        for item in events:
            self._writers[role].write(item)

    def loop(
        self,
        *,
        turns_ms: Sequence[float] = (),
        ran_s: float = 20.0,
        stopped: bool = True,
        mechanism: str = "select",
        limit_ms: float = 100,
    ) -> None:
        """A loop with its page: the turns it made, and how long it ran."""
        self.words = page.create(
            self.folder.loops / "0.page", started_ns=self.at(0), limit_ns=int(limit_ms * 1e6)
        )
        for turn_ms in turns_ms:
            length = round(turn_ms * 1e6)
            self.words[page.TURNS] += 1
            self.words[page.BUSY_NS] += length
            self.words[page.LONGEST_NS] = max(self.words[page.LONGEST_NS], length)
            self.words[page.BLOCKS] += length > limit_ms * 1e6
            self.words[page.COUNTS + length.bit_length()] += 1
            self.words[page.SUMS + length.bit_length()] += length
        self.words[page.STOPPED_NS] = self.at(ran_s) if stopped else 0
        started = event.LoopStarted(
            at_ns=self.at(0),
            pid=LOOP_PID,
            loop=0,
            kind="asyncio.unix_events._UnixSelectorEventLoop",
            thread="MainThread",
            mechanism=mechanism,
            page="loops/0.page",
            limit_ns=int(limit_ms * 1e6),
            application=(APPLICATION,),
            libraries=(STDLIB, SITE),
            harness=HARNESS,
        )
        self.write("target", started)

    def blocked(
        self,
        at_s: float,
        held_ms: float,
        samples: Sequence[event.Sample] = (),
        *,
        ended: bool = True,
        victims: tuple[event.DelayedStep, ...] = (),
        victims_total: int | None = None,
        **figures: Unpack[Figures],
    ) -> None:
        """A late turn of the loop. *samples* as `look` makes them, of even length."""
        step = held_ms / 1000 / max(len(samples), 1)
        gap = min(0.002, step / 2)  # the probe looks every 5 ms
        placed = tuple(
            value.replace(
                sample,
                first_ns=self.at(at_s + step * index + gap),
                last_ns=self.at(at_s + step * (index + 1) - gap),
            )
            for index, sample in enumerate(samples)
        )
        turn = event.Blocked(
            at_ns=self.at(at_s),
            held_ns=round(held_ms * 1e6),
            ended=ended,
            pid=LOOP_PID,
            loop=0,
            samples=placed,
            victims=victims,
            victims_total=len(victims) if victims_total is None else victims_total,
            **figures,
        )
        self.write("target", turn)

    def ended(
        self,
        at_s: float = 20.0,
        *,
        interrupted: bool = False,
        error: str = "",
        status: int | None = 0,
        expected: bool = True,
    ) -> None:
        """The run's good end: the target's, and the runner's last word."""
        if status is not None:
            self.write("runner", event.TargetExited(self.at(at_s), status, expected))
        self.write("runner", event.RunEnded(self.at(at_s), interrupted, error))

    def close(self) -> None:
        """End every writer in good order."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def document(self) -> report.Report:
        """The report, after all writers have ended in good order."""
        self.close()
        return report.build(history.load(self.folder))

    def only_block(self) -> Block:
        """The one block of the run, which ends in good order."""
        self.ended()
        (block,) = self.document().blocks
        return block


class Record(Protocol):
    def __call__(self, name: str = "run", **options: Unpack[Options]) -> Recording: ...


class Look(Protocol):
    def __call__(
        self,
        *calls: str,
        count: int = 1,
        task: str = "checkout-1",
        coroutine: str = "checkout",
        span: str = "checkout",
        fault: str = "",
        lazy: str = "",
        outside: tuple[event.Frame, ...] = OUTSIDE,
    ) -> event.Sample: ...


class Full(Protocol):
    def __call__(
        self, name: str = "full", *, blocks: int = 5, hostile: str = "", end: bool = True
    ) -> Recording: ...


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """Makes records; what it opened is closed."""
    made: list[Recording] = []

    def make(name: str = "run", **options: Unpack[Options]) -> Recording:
        made.append(Recording(tmp_path / name, **options))
        return made[-1]

    yield make
    for recording in made:
        recording.close()


@pytest.fixture
def look() -> Look:
    """Makes samples: calls of the application and of libraries below the loop's own frames."""

    def make(
        *calls: str,
        count: int = 1,
        task: str = "checkout-1",
        coroutine: str = "checkout",
        span: str = "checkout",
        fault: str = "",
        lazy: str = "",
        outside: tuple[event.Frame, ...] = OUTSIDE,
    ) -> event.Sample:
        return event.Sample(
            first_ns=0,
            last_ns=0,
            count=count,
            stack=(*outside, *(_frame(call) for call in calls)),
            task=task,
            coroutine=coroutine,
            span=span,
            trace_id="0af7651916cd43dd8448eb211c80319c" if span else "",
            span_id="b7ad6b7169203331" if span else "",
            fault=fault,
            lazy=lazy,
        )

    return make


def _frame(call: str) -> event.Frame:
    """``cart.py:41 total`` is the program's, ``lib/x.py:1 f`` the standard library's, ``site/`` installed."""
    place, _, function = call.rpartition(" ")
    file, _, line = place.rpartition(":")
    for prefix, folder in {
        "lib/": STDLIB,
        "site/": SITE,
        "harness/probe/": f"{HARNESS}/probe/",
        "<": "<",
    }.items():
        if file.startswith(prefix):
            return event.Frame(folder + file.removeprefix(prefix), int(line), function)
    return event.Frame(APPLICATION + file, int(line), function)


@pytest.fixture
def full(record: Record, look: Look) -> Full:
    """A whole run as the chaos service makes it: load, spans, blocks with victims, a fault, a ledger."""

    def make(name: str = "full", *, blocks: int = 5, hostile: str = "", end: bool = True) -> Recording:
        made = record(
            name,
            max_late_ms=50.0,
            expectations=(
                ("ledger.lost", "==", 0),
                ("load.latency_ms.p99", "<", 500),
                ("blocks.max_held_ms", "<", 100),
            ),
        )
        dice = random.Random(7)
        block_times = [6 + index * 6.0 / max(blocks, 1) for index in range(blocks)]
        made.write("runner", event.TargetStarted(made.at(0), LOOP_PID, ("python", "-m", "shop")))
        if blocks:  # a fault that never takes effect makes a run invalid
            detail = "time.sleep(0.3) in shop.hosts:Host.restart"
            made.write("runner", event.FaultInjected(made.at(5.5), "stuck-sdk", "block.sleep", detail))
        made.loop(turns_ms=[0.4] * 4000 + [2.0] * 200 + [301.0] * blocks)
        _load(made, dice, block_times, hostile)
        busy, longest = 0, 0
        for tick in range(80):
            at_s = tick * 0.25
            busy += round(dice.uniform(0.02, 0.06) * 0.25e9) + sum(
                301_000_000 for b in block_times if at_s - 0.25 <= b + 0.301 < at_s
            )
            longest = max(longest, 301_000_000 if any(b + 0.301 < at_s for b in block_times) else 2_000_000)
            made.write("runner", event.LoopSampled(made.at(at_s), LOOP_PID, 0, tick * 50, busy, longest, 0))
        for index, at_s in enumerate(block_times):
            first = round((at_s - 1) * 80) + 1  # the requests that were due while the loop was held
            victims = tuple(
                event.DelayedStep(
                    f"restart-web-{n}{hostile}",
                    "process restart",
                    f"{first + n:032x}",
                    round((301 - 12 * n) * 1e6),
                )
                for n in range(14)
            )
            sample = look(
                "service.py:31 Handler.handle",
                "hosts.py:41 Host.restart",
                "site/vendorsdk/client.py:210 Client.reboot",
                "lib/socket.py:706 SocketIO.readinto",
                task=f"restart-web-{index}{hostile}",
                coroutine="Handler.handle",
                span=f"restart host{hostile}",
                fault="stuck-sdk",
                count=58,
            )
            made.blocked(
                at_s,
                301.0,
                [sample],
                victims=victims,
                victims_total=23,
                cpu_ns=2_000_000,
                queued_ns=1_000_000,
                watched_ns=290_000_000,
            )
        if end:
            if blocks:
                made.write("runner", event.FaultUndone(made.at(12.5), "stuck-sdk", blocks))
            made.write("runner", event.LedgerTaken(made.at(19.5), 1200, 1196, 9, 9, 0, 0, 4, 0, 0, 1.4))
            closed = event.ProbeClosed(made.at(19.6), 4205, 310.0, 40_000_000, 2_600_000_000, 0)
            made.write("target", value.replace(closed, beside_ns=30_000_000))
            made.ended()
        return made

    return make


def _load(made: Recording, dice: random.Random, block_times: list[float], hostile: str) -> None:
    made.write(
        "driver",
        event.LoadStarted(made.at(1), "sqlite", "constant", 80.0, 15.0, tags=(("process restart",),)),
    )
    for n in range(1200):
        due_s = 1 + n / 80
        service_s = dice.uniform(0.02, 0.05)
        held = next((b for b in block_times if b - 0.04 <= due_s < b + 0.301), None)
        done_s = (held + 0.301 if held is not None else due_s) + service_s
        trace_id = f"{n:032x}"
        made.write("driver", event.Sent(n, made.at(due_s), made.at(due_s + 0.0004), trace_id, step=0))
        if n < 1196:
            made.write("driver", event.Completed(n, made.at(done_s), ok=True))
        if n % 10 == 0 or held is not None:
            _trace(made, trace_id, n, due_s, done_s, hostile)
    made.write("driver", event.LoadEnded(made.at(17), 1200))


def _trace(made: Recording, trace_id: str, n: int, due_s: float, done_s: float, hostile: str) -> None:
    whole = done_s - due_s
    spans = (
        ("publish restart", "producer", "", 0.0, 0.02, "driver"),
        (f"process restart{hostile}", "consumer", "0", 0.1, 1.0, "target"),
        ("restart host", "internal", "1", 0.15, 0.8, "target"),
        ("save", "internal", "1", 0.15, 0.5, "target"),
        ("extend", "client", "1", 0.5, 0.55, "target"),
        ("ack", "client", "1", 0.85, 0.98, "target"),
    )
    for index, (name, kind, parent, start, end, role) in enumerate(spans):
        span = event.SpanEnded(
            name=name,
            kind=kind,
            trace_id=trace_id,
            span_id=f"{n:012x}{index:04x}",
            parent_id=f"{n:012x}{int(parent):04x}" if parent else "",
            start_ns=made.at(due_s + whole * start),
            end_ns=made.at(due_s + whole * end),
            status="ok",
            thread="MainThread",
        )
        made.write(role, span)
