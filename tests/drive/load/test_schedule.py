"""The driver's schedule: pure arrival times, and waits that keep to them."""

import asyncio
import fcntl
import itertools
import math
import os
import resource
import selectors
import socket
import statistics
import time

import pytest

from harness.drive.load.arrival import Piece, arrivals, mean_per_s
from harness.drive.load.driver_config import DriverConfig
from harness.drive.load.pacer import ExactSelector, wait_until


def even(rate_per_s: float) -> list[Piece]:
    """The same rate for longer than any test looks at it."""
    return [(1e6, rate_per_s, rate_per_s)]


def test_constant_arrivals_are_exact() -> None:
    """Constant arrivals are n / rate, without rounding errors that add up."""
    times_s = list(itertools.islice(arrivals("constant", even(30), seed=0), 30_001))

    assert times_s[:3] == [0.0, 1 / 30, 2 / 30]
    assert times_s[30_000] == 1000.0


def test_poisson_arrivals_have_the_mean_and_the_spread_of_a_poisson_process() -> None:
    """The gaps of Poisson arrivals have the mean 1 / rate, a deviation as large, and one in e is longer."""
    times_s = list(itertools.islice(arrivals("poisson", even(100), seed=7), 20_000))
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]

    assert statistics.fmean(gaps_s) == pytest.approx(0.01, rel=0.05)
    assert statistics.pstdev(gaps_s) == pytest.approx(0.01, rel=0.05)
    assert sum(gap_s > 0.01 for gap_s in gaps_s) / len(gaps_s) == pytest.approx(1 / math.e, rel=0.05)
    assert min(gaps_s) > 0


def test_a_seed_decides_the_poisson_arrivals() -> None:
    """The same seed gives the same times, another seed gives others."""
    first, again, other = (
        list(itertools.islice(arrivals("poisson", even(50), seed=s), 100)) for s in (1, 1, 2)
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        ([(2, 50, 50), (3, 50, 250)], [50, 50, 83.3, 150, 216.7]),
        ([(2, 0, 100), (1, 0, 0), (2, 100, 0)], [25, 75, 0, 75, 25]),
        ([(0.5, 0, 0), (2, 300, 300)], [150, 300, 150, 0, 0]),
    ],
    ids=["ramp", "up, pause and down", "late"],
)
@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_arrivals_follow_a_rate_that_changes(kind: str, plan: list[Piece], counts: list[float]) -> None:
    """In each second as many as the area below the rate; of a random schedule, the mean of many seeds."""
    runs = [list(arrivals(kind, plan, seed=seed)) for seed in range(400 if kind == "poisson" else 1)]

    for second, count in enumerate(counts):
        came = [sum(second <= time_s < second + 1 for time_s in run) for run in runs]
        spread = 5 * math.sqrt(count / len(runs)) if kind == "poisson" else 1
        assert statistics.fmean(came) == pytest.approx(count, abs=spread)
    assert all(run == sorted(run) for run in runs)
    assert mean_per_s(plan) == pytest.approx(sum(counts) / sum(for_s for for_s, _, _ in plan), rel=0.01)


def test_arrivals_end_with_the_plan() -> None:
    """The end itself is no longer a part of it."""
    assert list(arrivals("constant", [(1, 2, 2), (0.5, 4, 4)], seed=0)) == [0, 0.5, 1, 1.25]
    assert list(arrivals("constant", [], seed=0)) == []
    assert mean_per_s([]) == 0


def test_waits_do_not_drift() -> None:
    """A thousand waits of 1 ms end a second after the first, not a thousand wake-up delays later."""
    late_ns = []

    async def keep_schedule() -> None:
        start_ns = time.monotonic_ns()
        for n in range(1_000):
            due_ns = start_ns + n * 1_000_000
            await wait_until(due_ns)
            late_ns.append(time.monotonic_ns() - due_ns)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(ExactSelector())) as runner:
        runner.run(keep_schedule())

    # Each wake-up is late by some 0.1 ms; in a chain of relative waits that would be 100 ms for all of the$
    # last ones. On a busy machine many are late, but not all.
    assert min(late_ns[-100:]) < 5e6
    assert min(late_ns) > -1_000  # the loop's own resolution, far below a microsecond


def test_a_late_schedule_catches_up_without_skipping() -> None:
    """After a delay every missed time is reached at once, and the rest keep their own."""

    async def catch_up() -> list[int]:
        start_ns = time.monotonic_ns()
        time.sleep(0.1)
        reached_ns = []
        for n in range(30):
            await wait_until(start_ns + n * 10_000_000)
            reached_ns.append(time.monotonic_ns() - start_ns)
        return reached_ns

    reached_ns = asyncio.run(catch_up())

    assert len(reached_ns) == 30
    assert reached_ns[0] >= 100e6
    assert reached_ns[29] >= 290e6 - 1_000
    assert reached_ns[9] - reached_ns[0] < 50e6  # these nine were 10 ms apart


def test_the_selector_has_no_highest_descriptor() -> None:
    """The exact selector sees a descriptor beyond the 1024 that `select` knows; when idle, nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    here, there = socket.socketpair()
    with here, there, ExactSelector() as selector:
        high = fcntl.fcntl(there, fcntl.F_DUPFD, 1024)
        selector.register(high, selectors.EVENT_READ)
        idle = selector.select(0.01)
        here.send(b"x")
        ready = [key.fd for key, _ in selector.select(60)]
        os.close(high)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert idle == []
    assert ready == [high]


def test_an_order_survives_json() -> None:
    """What the runner orders is what the driver reads."""
    plan = ((2.5, 100.0, 100.0),)
    order = DriverConfig("events", 12, "http", {"url": "http://127.0.0.1:1/"}, "poisson", plan, 2.5, 3, 10.0)

    assert DriverConfig.from_json(order.to_json()) == order
