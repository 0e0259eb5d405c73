"""Whether a service grows under a steady load: the judgement, and a short soak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak.growth import ServiceSample, growth_of
from tests.soak.test_soak import soak

MINUTES = 10


def samples(**each_minute: float) -> list[ServiceSample]:
    """One in five seconds; the counts come and go, and what is named grows by so much per minute."""
    flat = [
        ServiceSample(5.0 * n, 50 + n % 3 / 10, 14 + n % 2, 8, 12 + n % 5, 1_000 * n, n % 7)
        for n in range(12 * MINUTES)
    ]
    return [
        replace(one, **{name: type(getattr(one, name))(getattr(one, name) + rise * one.at_s / 60)})
        for one in flat
        for name, rise in (each_minute or {"rss_mb": 0}).items()
    ]


def test_a_load_that_comes_and_goes_is_flat() -> None:
    """Memory, descriptors, threads and tasks that fluctuate, and a backlog, are no growth."""
    assert growth_of("memory:", samples()).flat
    assert growth_of("memory:", samples(waiting=100)).flat
    assert growth_of("memory:", samples(rss_mb=0.3)).flat


@pytest.mark.parametrize(
    ("name", "each_minute"), [("rss_mb", 0.7), ("descriptors", 2.0), ("threads", 1.0), ("tasks", 4.0)]
)
def test_each_kind_of_growth_is_found(name: str, each_minute: float) -> None:
    """Ever more memory, descriptors, threads or tasks: none of them is flat."""
    grown = growth_of("memory:", samples(**{name: each_minute}))

    assert not grown.flat
    assert grown.growing == (() if name == "rss_mb" else (name,))


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_service_under_a_steady_load_has_no_more_after_a_while() -> None:
    """`--steady`: it keeps up, and its descriptors, threads and tasks do not grow, nor its memory by much."""
    _, figures, said = soak("sqlite:", "--steady", "14", "--rate", "150", patience_s=150)

    assert figures["growing"] == [], said
    assert figures["handled_per_s"] > 100
    assert figures["rss_mb"][1] - figures["rss_mb"][0] < 5
    assert len(figures["samples"]) > 5
