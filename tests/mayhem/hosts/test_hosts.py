"""Simulated hosts are repeatable; the notations of latency and failure; the inventory."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import mean, median
from typing import Any

import pytest

from harness.mayhem.errors import HostUnavailableError, SettingsError
from harness.mayhem.hosts.failure import NEVER, FailureModel, Flapping, SlowStart, parse_failure
from harness.mayhem.hosts.inventory import Inventory
from harness.mayhem.hosts.latency import Exponential, Fixed, Lognormal, Uniform, parse_latency
from harness.mayhem.hosts.process import ProcessHost
from harness.mayhem.hosts.sdk import SdkHost
from harness.mayhem.hosts.simulated import SimulatedHost
from harness.mayhem.process.thread_pool import ThreadPool

DRAWS = 4000


class ManualClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record how long simulated hosts would have slept."""
    delays = []

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)

    monkeypatch.setattr("harness.mayhem.hosts.simulated.asyncio.sleep", sleep)
    return delays


async def story(
    host: SimulatedHost, times: int, clock: ManualClock | None = None, step_s: float = 0.0
) -> list[str]:
    """Restart repeatedly; return each failure's message, or an empty string."""
    told = []
    for _ in range(times):
        try:
            await host.restart()
            await host.health()
        except HostUnavailableError as exc:
            told.append(str(exc))
        else:
            told.append("")
        if clock:
            clock.now_s += step_s
    return told


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("fixed:20ms", Fixed(0.02)),
        ("uniform:10ms,0.05s", Uniform(0.01, 0.05)),
        ("exponential:1m", Exponential(60.0)),
        ("lognormal:20ms,0.5", Lognormal(0.02, 0.5)),
        (" lognormal : 1.5s , 0 ", Lognormal(1.5, 0.0)),
    ],
)
def test_latency_has_a_short_text(text: str, latency: Any) -> None:
    """Every distribution has a notation with units."""
    assert parse_latency(text) == latency


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20ms", "like fixed:20ms, uniform:10ms,50ms, exponential:20ms or lognormal:20ms,0.5"),
        ("fixed:20ms,1", "like fixed:20ms, uniform:10ms,50ms, exponential:20ms or lognormal:20ms,0.5"),
        ("normal:20ms,1", "like fixed:20ms, uniform:10ms,50ms, exponential:20ms or lognormal:20ms,0.5"),
        ("fixed:20", "a duration with its unit, like 20ms, 1.5s or 2m, in place of '20'"),
        ("fixed:-1s", "a duration with its unit, like 20ms, 1.5s or 2m, in place of '-1s'"),
        ("uniform:2s,1s", "a range whose second bound is not below its first"),
        ("lognormal:20ms,x", "a number in place of 'x'"),
        ("lognormal:20ms,nan", "a number in place of 'nan'"),
        ("lognormal:20ms,9", "a lognormal spread from 0 to 4"),
    ],
)
def test_wrong_latency_says_what_was_expected(text: str, expected: str) -> None:
    """A typo is answered with an example."""
    with pytest.raises(ValueError) as error:
        parse_latency(text)

    assert str(error.value) == expected


def test_latencies_are_distributed_as_their_names_say() -> None:
    """Mean, median and bounds of many draws are as configured."""
    random = Random(1)

    def draws(text: str) -> list[float]:
        latency = parse_latency(text)
        return [latency.draw_s(random) for _ in range(DRAWS)]

    assert set(draws("fixed:20ms")) == {0.02}
    uniform = draws("uniform:10ms,50ms")
    assert 0.01 <= min(uniform) < 0.012 < 0.048 < max(uniform) <= 0.05
    assert mean(draws("exponential:20ms")) == pytest.approx(0.02, rel=0.1)
    lognormal = sorted(draws("lognormal:20ms,0.5"))
    assert median(lognormal) == pytest.approx(0.02, rel=0.1)
    assert lognormal[DRAWS * 95 // 100] == pytest.approx(0.0455, rel=0.15)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("never", NEVER),
        ("chance:0.02", FailureModel(chance=0.02)),
        ("flapping:60s,5s", FailureModel(flapping=Flapping(60.0, 5.0))),
        ("slow:30s,4", FailureModel(slow_start=SlowStart(30.0, 4.0))),
        (
            "slow:30s,4 chance:1  flapping:1m,500ms",
            FailureModel(chance=1.0, flapping=Flapping(60.0, 0.5), slow_start=SlowStart(30.0, 4.0)),
        ),
    ],
)
def test_failure_has_a_short_text(text: str, failure: FailureModel) -> None:
    """Failures are separated by spaces, in any order."""
    assert parse_failure(text) == failure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "never, or any of chance:0.02, flapping:60s,5s and slow:30s,4 separated by spaces"),
        ("always", "never, or any of chance:0.02, flapping:60s,5s and slow:30s,4 separated by spaces"),
        ("chance:2", "a chance from 0 to 1"),
        ("chance:0.1 chance:0.2", "only one chance"),
        ("flapping:5s,5s", "a down time shorter than its period, like flapping:60s,5s"),
        ("slow:5s,0.5", "a slow start with a factor of at least 1"),
        ("slow:5,2", "a duration with its unit, like 20ms, 1.5s or 2m, in place of '5'"),
    ],
)
def test_wrong_failure_says_what_was_expected(text: str, expected: str) -> None:
    """A typo is answered with an example."""
    with pytest.raises(ValueError) as error:
        parse_failure(text)

    assert str(error.value) == expected


async def test_same_seed_same_story(slept: list[Any]) -> None:
    """A host's times and failures depend only on seed and name."""

    async def told(name: str, seed: int) -> tuple[list[str], list[float]]:
        slept.clear()
        failure = parse_failure("chance:0.3 flapping:10s,3s slow:5s,2")
        clock = ManualClock()
        host = SimulatedHost(name, seed=seed, failure=failure, clock=clock)
        return await story(host, 30, clock, step_s=0.7), list(slept)

    first = await told("web-1", 1)
    assert {bool(failed) for failed in first[0]} == {True, False}
    assert await told("web-1", 1) == first
    assert await told("web-1", 2) != first
    assert await told("web-2", 1) != first


async def test_failures_do_not_change_the_times(slept: list[Any]) -> None:
    """Restarts take the same times, whether they fail or not."""
    await story(SimulatedHost("web-1", seed=1), 20)
    well = list(slept)
    slept.clear()
    await story(SimulatedHost("web-1", seed=1, failure=parse_failure("chance:0.5 flapping:10s,3s")), 20)

    assert slept == well


async def test_chance_is_the_share_of_failed_restarts(slept: list[Any]) -> None:
    """The share of failed restarts is the configured chance."""

    async def failed(chance: float) -> int:
        return sum(map(bool, await story(SimulatedHost("a", seed=1, failure=FailureModel(chance)), 1000)))

    assert (await failed(0.0), await failed(1.0)) == (0, 1000)
    assert 70 <= await failed(0.1) <= 130


async def test_flapping_host_is_down_in_windows_whatever_is_done(slept: list[Any]) -> None:
    """A flapping host is down despite restarts and comes up by itself; hosts do not flap in step."""
    clock = ManualClock()
    failure = parse_failure("flapping:10s,3s")
    one, other = (SimulatedHost(name, seed=1, failure=failure, clock=clock) for name in ("web-1", "web-2"))
    told, told_by_other = [], []
    for _ in range(100):
        told += await story(one, 1)
        told_by_other += await story(other, 1)
        clock.now_s += 0.5

    down = [bool(complaint) for complaint in told]
    assert sum(down) == 30
    # 50 s are five periods, wherever they begin.
    assert sum(a != b for a, b in pairwise(down)) in (9, 10)
    assert next(filter(None, told)).startswith("web-1: down for another ")
    assert told_by_other.count("") == 70
    assert [bool(complaint) for complaint in told_by_other] != down


async def test_slow_start_ends_with_youth(slept: list[Any]) -> None:
    """Restarts are slower by the factor at first, and normal afterwards."""
    clock = ManualClock()
    host = SimulatedHost("a", seed=1, latency=Fixed(0.02), failure=parse_failure("slow:30s,4"), clock=clock)
    await story(host, 3, clock, step_s=15.0)

    assert slept == [0.08, 0.08, 0.02]


async def test_inventory_says_what_is_behind_a_name() -> None:
    """Simulated hosts come first, then processes, then SDK hosts; an unlisted host is simulated."""
    inventory = Inventory(hosts=5, processes=2, sdk=1)
    async with ThreadPool(1) as threads:
        make = inventory.maker(threads)
        made = [type(make(name)) for name in (*inventory.names, "host-5", "web-1")]

    assert inventory.names == ("host-0", "host-1", "host-2", "host-3", "host-4")
    kinds = [inventory.kind_of(name) for name in (*inventory.names, "host-5")]
    assert kinds == ["simulated", "simulated", "process", "process", "sdk", "simulated"]
    assert made == [SimulatedHost] * 2 + [ProcessHost] * 2 + [SdkHost] + [SimulatedHost] * 2


def test_inventory_cannot_have_more_of_a_kind_than_hosts() -> None:
    """More processes and SDK hosts than hosts are an error."""
    with pytest.raises(SettingsError, match="1 processes and 2 SDK hosts are more than 2 hosts"):
        Inventory(hosts=2, processes=1, sdk=2)
