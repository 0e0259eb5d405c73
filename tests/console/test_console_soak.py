"""A console in constant use, on a service under load: nothing grows, and its cost is reported."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from statistics import linear_regression

import pytest

from harness.record.event import LoadStarted
from tests.support.commanded import Ended, running, scenario, wait
from tests.support.consoled import Client, card_of

# The service can handle twice that rate. Only some traces are sampled, because a record of twenty minutes
# would be too large; but enough to fill the console's memory of recent spans soon.
SERVICE = """
    [target]
    kind = "mayhem"
    settings = {{ hosts = 1000, concurrency = 100, lease_s = 5.0, host_latency = "lognormal:20ms,0.5" }}
    [load]
    sender = "sqlite"
    rate_per_s = {rate_per_s}
    duration_s = {lasts_s}
    max_late_ms = 2000
    drain_s = 60
"""
SAMPLING = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.02"}
# As in an investigation; while `top` is used, every step is counted.
LINES = (
    "status",
    "ps --limit 50",
    "top",
    "blocks",
    "tree --limit 50",
    "spans",
    "executors",
    "locks",
    "lints",
)
BETWEEN_S = 1.0
WARM_UP = 0.5
FLAT_MB_PER_MIN = 0.5


Sight = tuple[float, float, int, int]  # seconds since the load began, and what `look` gives


def look(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, the number of threads, and of open descriptors."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), descriptors


def attended(tmp_path: Path, *, rate_per_s: int, lasts_s: int) -> tuple[list[Sight], Ended]:
    """Run a service and use its console once per second; return samples of the target, and the ended run."""
    path = scenario(tmp_path, SERVICE.format(rate_per_s=rate_per_s, lasts_s=lasts_s))
    looks: list[Sight] = []
    with running("run", "--console", path, cwd=tmp_path, env=SAMPLING) as run:
        began = run.wait_event(LoadStarted).at_ns / 1e9
        pid = run.pid_of("target")
        card = wait(lambda: card_of(pid))
        with Client.of_card(card) as client:
            for line in itertools.cycle(LINES):
                if (at_s := time.monotonic() - began) >= lasts_s:
                    break
                answer = client.request(line)
                assert answer["ok"], answer
                looks.append((at_s, *look(pid)))
                time.sleep(BETWEEN_S)
        return looks, run.ended(within_s=300)


def check(looks: list[Sight], ended: Ended, *, rate_per_s: int, lasts_s: int) -> None:
    """Assert that every command was used, the service kept up, and no thread or descriptor was left over."""
    document = ended.report

    assert ended.status == 0, ended.stderr
    assert document["load"]["completed"] == document["load"]["offered"] > 0.9 * rate_per_s * lasts_s
    assert set(document["console"]["commands"]) == {line.split()[0] for line in LINES}
    assert document["console"]["connections"] == 1
    assert 0 < document["console"]["cpu_ratio"] < 1
    threads, descriptors = ([one[column] for one in looks[len(LINES) :]] for column in (2, 3))
    assert max(threads) - min(threads) <= 3, threads
    assert max(descriptors) - min(descriptors) <= 5, descriptors


@pytest.mark.long
def test_a_console_that_is_always_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    """Over some seconds, every command is answered repeatedly on one connection, and nothing grows."""
    looks, ended = attended(tmp_path, rate_per_s=100, lasts_s=15)

    check(looks, ended, rate_per_s=100, lasts_s=15)


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_twenty_minutes_of_a_console_at_a_thousand_messages_per_second(tmp_path: Path) -> None:
    """Memory and threads stay flat, and the report has the console's share of CPU time."""
    looks, ended = attended(tmp_path, rate_per_s=1000, lasts_s=1200)
    warm = [one for one in looks if one[0] >= WARM_UP * 1200]
    slope = linear_regression([at_s / 60 for at_s, *_ in warm], [rss_mb for _, rss_mb, *_ in warm]).slope
    for at_s, rss_mb, threads, descriptors in looks[::60]:
        print(f"{at_s:6.0f} s  RSS {rss_mb:.1f} MB, {threads} threads, {descriptors} descriptors")
    print(f"{slope:+.3f} MB/min;", ended.report["console"]["cpu_ratio"], ended.report["load"]["latency_ms"])

    check(looks, ended, rate_per_s=1000, lasts_s=1200)
    assert slope < FLAT_MB_PER_MIN
    assert ended.report["console"]["cpu_ratio"] < 0.03
