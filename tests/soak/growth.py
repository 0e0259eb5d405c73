"""One service under a steady load for some minutes: whether it grows."""

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

from .plan import Terms
from .process import Process, running
from .round import PUBLISHER, SERVICE, serve

# Between two looks.
LOOK_S = 1.0
# With the default fifty messages in hand, twice the rate of 1,000 per second.
HOST_LATENCY = "lognormal:20ms,0.5"
# Caches fill up, and the collector finds its rhythm: what is judged is what comes after so much of the time.
WARM_UP = 0.5
# Of resident memory per minute. Less is the noise of the allocator within ten minutes.
FLAT_MB_PER_MIN = 0.5
PORT = re.compile(r"answering over HTTP port=(\d+)")
TASKS = re.compile(r"^mayhem_tasks\S* ([\d.e+]+)$", re.MULTILINE)
WAITING = re.compile(r"^mayhem_messages_pending\S* ([\d.e+]+)$", re.MULTILINE)
HANDLED = re.compile(r"^messaging_process_duration_seconds_count\S* ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment, seen from outside."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int
    handled: int
    waiting: int  # in the queue: what the service does not keep up with is no leak, but grows as well


@dataclass(frozen=True, slots=True)
class Growth:
    """How much the service grew in the time after it was warm."""

    broker: str
    seconds: float
    handled_per_s: float
    rss_mb: tuple[float, float]  # when it was warm, and at the end
    rss_mb_per_min: float
    descriptors: tuple[int, int]  # the fewest and the most
    threads: tuple[int, int]
    tasks: tuple[int, int]
    waiting: tuple[int, int]
    tasks_per_min: float
    descriptors_per_min: float

    @property
    def flat(self) -> bool:
        """Whether it would go on like this for ever."""
        return self.rss_mb_per_min < FLAT_MB_PER_MIN


async def steady(
    terms: Terms, *, broker: str, store_url: str, folder: Path, lasts_s: float
) -> tuple[Growth, Sequence[Look]]:
    """Load one service at the rate for *lasts_s* seconds, and look at it once per second."""
    log, count = folder / "service.log", str(round(terms.rate_per_s * lasts_s))
    own = ("--events", count, "--rate-per-s", str(terms.rate_per_s)) if broker == "memory:" else ()
    looks: list[Look] = []
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
            looks.append(await asyncio.to_thread(_look, at_s, service, url))
            await asyncio.sleep(LOOK_S)
        await service.end(signal.SIGTERM)
    return _growth(broker, looks), looks


def _look(at_s: float, service: Process, url: str) -> Look:
    proc = Path(f"/proc/{service.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    with urllib.request.urlopen(url, timeout=10) as answer:
        metrics = answer.read().decode()
    return Look(
        at_s=round(at_s, 1),
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in (proc / "fd").iterdir()),
        threads=int(status["ThreadPool"]),
        tasks=_number(TASKS, metrics),
        handled=_number(HANDLED, metrics),
        waiting=_number(WAITING, metrics),
    )


def _number(pattern: re.Pattern[str], metrics: str) -> int:
    return sum(round(float(found)) for found in pattern.findall(metrics))


def _growth(broker: str, looks: Sequence[Look]) -> Growth:
    warm = [look for look in looks if look.at_s >= looks[-1].at_s * WARM_UP]
    first, last = warm[0], warm[-1]
    minutes = [look.at_s / 60 for look in warm]

    def slope(values: Sequence[float]) -> float:
        return round(linear_regression(minutes, values).slope, 3)

    def span(values: Sequence[int]) -> tuple[int, int]:
        return min(values), max(values)

    descriptors, tasks = [look.descriptors for look in warm], [look.tasks for look in warm]
    return Growth(
        broker=broker,
        seconds=last.at_s,
        handled_per_s=round((last.handled - first.handled) / (last.at_s - first.at_s), 1),
        rss_mb=(round(first.rss_mb, 1), round(last.rss_mb, 1)),
        rss_mb_per_min=slope([look.rss_mb for look in warm]),
        descriptors=span(descriptors),
        threads=span([look.threads for look in warm]),
        tasks=span(tasks),
        waiting=span([look.waiting for look in warm]),
        tasks_per_min=slope(tasks),
        descriptors_per_min=slope(descriptors),
    )


def show(growth: Growth, looks: Sequence[Look], *, as_json: bool) -> int:
    """Print it; 1 when the service grew."""
    figures = asdict(growth) | {"flat": growth.flat}
    if as_json:
        sys.stdout.write(json.dumps({**figures, "looks": [asdict(look) for look in looks]}) + "\n")
    else:
        sys.stdout.write("".join(f"{name:>20}  {value}\n" for name, value in figures.items()))
    return 0 if growth.flat else 1
