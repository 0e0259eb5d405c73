"""`load.find = "capacity"`: the search, what it concludes, and one against a real service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.read.capacity.search import RateStep, capacity_of, next_rate
from tests.support.commanded import harness
from tests.support.port import free_port


def step(rate_per_s: float, status: int, *, by_the_driver: bool = False) -> RateStep:
    return RateStep(
        rate_per_s=rate_per_s,
        outcome="",
        exit_status=status,
        by_the_driver=by_the_driver,
        p50_ms=1.0,
        p99_ms=2.0,
        busy_ratio=0.5,
        lag_p99_ms=1.0,
        verdict="",
        limited_by="the loop" if status else "",
        folder="",
    )


def searched(first: float, of: Callable[[float], RateStep]) -> list[RateStep]:
    """The runs of a search in which *of* gives the outcome of each rate."""
    steps: list[RateStep] = []
    rate: float | None = first
    while rate is not None:
        steps.append(of(rate))
        rate = next_rate(steps)
    return steps


@pytest.mark.parametrize("first", [10, 90, 100, 3_000])
@pytest.mark.parametrize("status", [1, 4], ids=["failed", "crashed"])
def test_the_capacity_is_between_two_rates_that_are_close(first: float, status: int) -> None:
    """Wherever the search begins, and whether an expectation is not met or the target dies."""
    steps = searched(first, lambda rate: step(rate, 0 if rate <= 97 else status))
    ended = capacity_of(steps)

    assert ended.passes_per_s is not None
    assert ended.fails_per_s is not None
    assert ended.passes_per_s <= 97 < ended.fails_per_s <= ended.passes_per_s * 1.1
    assert (ended.exit_status, ended.limited_by) == (0, "the loop")
    assert len(steps) <= 12


@pytest.mark.parametrize(
    ("of", "passes", "fails", "status"),
    [
        (lambda rate: step(rate, 1), None, 0.625, 1),
        (lambda rate: step(rate, 0), 40_960, None, 3),
        (lambda rate: step(rate, 3 if rate > 30 else 0, by_the_driver=rate > 30), 20, 40, 3),
        (lambda rate: step(rate, 3, by_the_driver=True), None, 10, 3),
        (lambda rate: step(rate, 3 if rate > 30 else 0), 20, None, 3),
        (lambda rate: step(rate, 130), None, None, 130),
        # A rate that fails by chance below one that has passed: the lower one counts.
        (lambda rate: step(rate, 1 if rate == 10 or rate > 25 else 0), 9.170, 10, 0),
    ],
    ids=[
        "nothing is met",
        "all is met",
        "the driver's own limit",
        "the driver's from the first",
        "not measured",
        "interrupted",
        "by chance",
    ],
)
def test_what_cannot_be_told_says_so(
    of: Callable[[float], RateStep], passes: float | None, fails: float | None, status: int
) -> None:
    """And what is known is told: the capacity is at least that."""
    ended = capacity_of(searched(10, of))

    assert ended.passes_per_s == (passes if passes is None else pytest.approx(passes, rel=0.1))
    assert ended.fails_per_s == fails
    assert ended.exit_status == status


SERVICE = """
import asyncio, sys, time

def render():
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass

async def answer(reader, writer):
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        render()
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=1000)
    await server.serve_forever()

asyncio.run(main())
"""
SCENARIO = """
[target]
kind = "program"
command = ["{python}", "service.py", "{port}"]
ready.port = {port}

[load]
sender = "http"
url = "http://127.0.0.1:{port}/"
find = "capacity"
arrival = "constant"
rate_per_s = 24
duration_s = 3
max_late_ms = 60000

[expect]
"load.latency_ms.p99" = "< 400"
"""


@pytest.mark.long
def test_the_line_that_limits_a_service_is_named(tmp_path: Path) -> None:
    """Each request computes for 20 ms, so it takes fifty a second, and not a hundred."""
    port = free_port()
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "find.toml").write_text(SCENARIO.format(python=sys.executable, port=port))
    ended = harness("run", "find.toml", cwd=tmp_path)
    document = json.loads((tmp_path / "run" / "capacity.json").read_text())

    assert ended.status == 0, ended.stdout
    # On a machine without a free processor it takes fewer.
    assert document["passes_per_s"] < document["fails_per_s"] <= 96
    # "the loop: …, 90 % of its time in render (service.py:6)"; where turns pile up, a block at the same line.
    assert "render" in document["limited_by"]
    assert f"limit  {document['limited_by']}" in ended.stdout
    assert len(list((tmp_path / "run").glob("*/report.json"))) == len(document["steps"])


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (
            '\n[expect]\n"load.latency_ms.p99" = "< 400"\n',
            "",
            "a capacity is the most that meets expectations",
        ),
        ("rate_per_s = 24\n", "users = 3\n", "a capacity is found by changing load.rate_per_s"),
    ],
)
def test_a_search_that_cannot_find_anything_is_refused(
    was: str, becomes: str, message: str, tmp_path: Path
) -> None:
    """Nothing is started."""
    text = SCENARIO.format(python=sys.executable, port=free_port())
    assert was in text
    (tmp_path / "find.toml").write_text(text.replace(was, becomes))
    ended = harness("run", "find.toml", cwd=tmp_path)

    assert ended.status == 2
    assert message in ended.stderr
    assert not (tmp_path / "run").exists()
