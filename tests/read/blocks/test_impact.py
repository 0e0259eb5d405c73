"""What would be gained without a block."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.read.blocks import impact
from harness.read.history import load
from harness.record import event
from tests.read.conftest import Look, Record, Recording

Hurt = Callable[..., Recording]


@pytest.fixture
def hurt(record: Record, look: Look) -> Hurt:
    """A run of 100 requests that take 20 ms, ten of which had to wait for a block of 300 ms at one line."""

    def make(*, loops: int = 1) -> Recording:
        made = record()
        made.loop()
        made.blocked(5.0, 300, [look("hosts.py:41 Host.restart")])
        made.blocked(8.0, 150, [look("report.py:7 Report.write")])  # nobody was due
        for n in range(100):
            due_s = 5.0 if n < 10 else 10 + n / 10
            made.write("driver", event.Sent(n, made.at(due_s), made.at(due_s), f"{n:032x}"))
            made.write("driver", event.Completed(n, made.at(due_s + (0.32 if n < 10 else 0.02)), ok=True))
        if loops > 1:
            other = event.LoopStarted(made.at(0), 4243, 0, "loop", "t", "select", "loops/1.page", 1, (), ())
            made.write("target", other)
        made.ended()
        return made

    return make


def test_the_gain_is_the_time_that_the_place_held_the_loop(hurt: Hurt) -> None:
    """Of the p99: 320 ms, but 20 ms without the block; nothing for a block that nobody waited for."""
    places = {place.function: place.p99_gain_ms for place in hurt().document().blockers}

    assert places["Host.restart"] == pytest.approx(300, abs=1)
    assert places["Report.write"] == 0


def test_a_failed_health_check_has_the_gain_and_a_passed_one_does_not(hurt: Hurt) -> None:
    """The longest turn fails with what there is to be gained; whatever passes is last, and without."""
    checks = hurt().document().audits

    assert [check.passed for check in checks] == sorted(check.passed for check in checks)
    assert not any(check.gain for check in checks if check.passed)


def test_with_several_loops_nothing_is_estimated(hurt: Hurt) -> None:
    """Nobody knows which loop a request waited for."""
    made = hurt(loops=2)

    assert {place.p99_gain_ms for place in made.document().blockers} == {None}


def test_without_load_nothing_is_estimated(record: Record, look: Look) -> None:
    """There is no latency to be lower."""
    made = record()
    made.loop()
    made.blocked(5.0, 300, [look("hosts.py:41 Host.restart")])
    document = made.document()

    assert document.blockers[0].p99_gain_ms is None
    assert impact.p99_ms(load(made.folder), document.blocks) is None
