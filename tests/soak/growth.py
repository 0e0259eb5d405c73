"""Measures whether one service grows under a steady load."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression

from tests.support.footprint import footprint, only_grows

from .plan import Terms
from .process import Process, running
from .round import PUBLISHER, SERVICE, serve

# Interval between samples.
SAMPLE_S = 1.0
# With the default fifty messages in flight, this handles 2,000 per second.
HOST_LATENCY = "lognormal:20ms,0.5"
# Share of the time that is not judged, while caches fill up.
WARM_UP = 0.5
# Growth of resident memory below this is the allocator's noise within ten minutes.
FLAT_MB_PER_MIN = 0.5
PORT = re.compile(r"answering over HTTP port=(\d+)")
TASKS = re.compile(r"^mayhem_tasks\S* ([\d.e+]+)$", re.MULTILINE)
WAITING = re.compile(r"^mayhem_messages_pending\S* ([\d.e+]+)$", re.MULTILINE)
HANDLED = re.compile(r"^messaging_process_duration_seconds_count\S* ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """The service at one moment, measured from outside."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int
    handled: int
    waiting: int  # in the queue; a queue the service cannot keep up with is not a leak, but grows as well


@dataclass(frozen=True, slots=True)
class Growth:
    """How much the service grew after the warm-up."""

    broker: str
    seconds: float
    handled_per_s: float
    rss_mb: tuple[float, float]  # after the warm-up, and at the end
    rss_mb_per_min: float
    descriptors: tuple[int, int]  # the minimum and the maximum
    threads: tuple[int, int]
    tasks: tuple[int, int]
    waiting: tuple[int, int]
    tasks_per_min: float
    descriptors_per_min: float
    growing: tuple[str, ...]  # of descriptors, threads and tasks: those of which there are ever more

    @property
    def flat(self) -> bool:
        """Whether it does not grow."""
        return self.rss_mb_per_min < FLAT_MB_PER_MIN and not self.growing


async def steady(
    terms: Terms, *, broker: str, store_url: str, folder: Path, lasts_s: float
) -> tuple[Growth, Sequence[ServiceSample]]:
    """Load one service for *lasts_s* seconds, and sample it once per second."""
    log, count = folder / "service.log", str(round(terms.rate_per_s * lasts_s))
    own = ("--events", count, "--rate-per-s", str(terms.rate_per_s)) if broker == "memory:" else ()
    samples: list[ServiceSample] = []
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            running(SERVICE, [*serve(terms, broker, store_url), "--http", "0", *own], log=log)
        )
        await service.said("consuming", log)
        found = PORT.search(log.read_text())
        url = f"http://127.0.0.1:{found[1] if found else 0}/metrics"
        if not own:
            numbers = ("0", count, str(terms.rate_per_s), str(terms.hosts), str(terms.lease_s))
            await stack.enter_async_context(
                running(PUBLISHER, (broker, "steady", *numbers), log=folder / "publisher.log", hear=len)
            )
        began = time.monotonic()
        while (at_s := time.monotonic() - began) < lasts_s:
            samples.append(await asyncio.to_thread(_sample, at_s, service, url))
            await asyncio.sleep(SAMPLE_S)
        await service.end(signal.SIGTERM)
    return growth_of(broker, samples), samples


def _sample(at_s: float, service: Process, url: str) -> ServiceSample:
    seen = footprint(service.pid)
    with urllib.request.urlopen(url, timeout=10) as answer:
        metrics = answer.read().decode()
    return ServiceSample(
        at_s=round(at_s, 1),
        rss_mb=seen.rss_mb,
        descriptors=seen.descriptors,
        threads=seen.threads,
        tasks=_number(TASKS, metrics),
        handled=_number(HANDLED, metrics),
        waiting=_number(WAITING, metrics),
    )


def _number(pattern: re.Pattern[str], metrics: str) -> int:
    return sum(round(float(found)) for found in pattern.findall(metrics))


def growth_of(broker: str, samples: Sequence[ServiceSample]) -> Growth:
    """The growth after the warm-up."""
    warm = [sample for sample in samples if sample.at_s >= samples[-1].at_s * WARM_UP]
    first, last = warm[0], warm[-1]
    minutes = [sample.at_s / 60 for sample in warm]

    def slope(values: Sequence[float]) -> float:
        return round(linear_regression(minutes, values).slope, 3)

    def span(values: Sequence[int]) -> tuple[int, int]:
        return min(values), max(values)

    descriptors, tasks = [sample.descriptors for sample in warm], [sample.tasks for sample in warm]
    threads = [sample.threads for sample in warm]
    counts = {"descriptors": descriptors, "threads": threads, "tasks": tasks}
    return Growth(
        broker=broker,
        seconds=last.at_s,
        handled_per_s=round((last.handled - first.handled) / (last.at_s - first.at_s), 1),
        rss_mb=(round(first.rss_mb, 1), round(last.rss_mb, 1)),
        rss_mb_per_min=slope([sample.rss_mb for sample in warm]),
        descriptors=span(descriptors),
        threads=span(threads),
        tasks=span(tasks),
        waiting=span([sample.waiting for sample in warm]),
        tasks_per_min=slope(tasks),
        descriptors_per_min=slope(descriptors),
        growing=tuple(name for name, values in counts.items() if only_grows(values)),
    )


def show(growth: Growth, samples: Sequence[ServiceSample], *, as_json: bool) -> int:
    """Print the growth; return 1 if the service grew."""
    figures = asdict(growth) | {"flat": growth.flat}
    if as_json:
        sys.stdout.write(json.dumps({**figures, "samples": [asdict(sample) for sample in samples]}) + "\n")
    else:
        sys.stdout.write("".join(f"{name:>20}  {value}\n" for name, value in figures.items()))
    return 0 if growth.flat else 1
