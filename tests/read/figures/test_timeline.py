"""The run in steps: a turn is where it was, and a step claims no percentile that it cannot know."""

from __future__ import annotations

import pytest

from harness.read.chart import Chart, Series, chart
from harness.record import event
from tests.read.conftest import LOOP_PID, Look, Record, Recording


def counted(made: Recording, blocks: list[tuple[float, float]], *, loop: int = 0, until_s: float = 4) -> None:
    """The runner's readings, four a second: 4 % of short turns, and each block when it has ended."""
    longest = 2_000_000
    for tick in range(round(until_s * 4) + 1):
        at_s = tick * 0.25
        ended = [(start, held) for start, held in blocks if start + held <= at_s]
        free_s = at_s - sum(
            max(0.0, min(at_s, start + held) - start) for start, held in blocks if start < at_s
        )
        busy_s = 0.04 * free_s + sum(held for _, held in ended)
        longest = max([longest, *(round(held * 1e9) for _, held in ended)])
        made.write(
            "runner",
            event.LoopSampled(made.at(at_s), LOOP_PID, loop, tick, round(busy_s * 1e9), longest, len(ended)),
        )


def series(drawn: Chart, name: str) -> Series:
    return next(one for lane in drawn.lanes for one in lane.series if one.name == name)


def test_a_turn_is_busy_time_in_the_steps_that_it_overlaps(record: Record, look: Look) -> None:
    """Also when the counters add it a step later; the time outside keeps its own share."""
    made = record()
    made.loop(ran_s=4)
    made.blocked(1.1, 301, [look("hosts.py:41 Host.restart")])
    counted(made, [(1.1, 0.301)])
    made.ended(4)
    line = made.document().timeline

    assert line.busy_ratio[3] == pytest.approx(0.04, abs=0.01)
    assert line.busy_ratio[4] == pytest.approx((0.15 + 0.04 * 0.1) / 0.25, abs=0.01)
    assert line.busy_ratio[5] == pytest.approx((0.151 + 0.04 * 0.099) / 0.25, abs=0.01)
    assert line.busy_ratio[6] == pytest.approx(0.04, abs=0.01)


def test_without_load_no_request_was_counted(record: Record) -> None:
    """Unknown, and not none in each step; a load without an answer has none."""
    made = record()
    made.loop(ran_s=1)
    made.ended(1)
    line = made.document().timeline
    assert (line.sent, line.completed, line.failed) == (None, None, None)
    assert len(line.busy_ratio) == 4

    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", 1, 1))
    line = made.document().timeline
    assert (line.sent, line.completed, line.failed) == ((0,) * 4, (0,) * 4, (0,) * 4)


def test_a_block_longer_than_many_steps_fills_each_of_them(record: Record, look: Look) -> None:
    """A second and a half: not one step above 1 and the others idle."""
    made = record()
    made.loop(ran_s=4)
    made.blocked(1.0, 1500, [look("hosts.py:41 Host.restart")])
    counted(made, [(1.0, 1.5)])
    made.ended(4)
    line = made.document().timeline

    assert line.busy_ratio[4:10] == pytest.approx((1.0,) * 6)
    assert line.busy_ratio[10] == pytest.approx(0.04, abs=0.01)


def test_a_block_has_a_bar_and_no_dot(record: Record, look: Look) -> None:
    """The longest turn of a step is a dot only where no block is; the value is told in both."""
    made = record()
    made.loop(ran_s=4)
    made.blocked(1.1, 301, [look("hosts.py:41 Host.restart")])
    counted(made, [(1.1, 0.301)])
    # A turn of 60 ms, below the limit, in another loop of the process.
    for tick in range(17):
        longest = 60_000_000 if tick >= 11 else 1_000_000
        made.write("runner", event.LoopSampled(made.at(tick * 0.25), LOOP_PID, 1, tick, 0, longest, 0))
    made.ended(4)
    document = made.document()
    line, dots = document.timeline, series(chart(document), "longest turn").dots

    assert [n for n, value in enumerate(line.longest_ms) if value == 301] == [4, 5]
    assert line.longest_ms[10] == 60
    assert dots == (10,)


@pytest.mark.parametrize(("per_step", "told"), [(20, "p90"), (120, "p99")])
def test_a_tail_is_drawn_only_as_far_as_the_requests_reach(record: Record, per_step: int, told: str) -> None:
    """Of 20 requests the p99 is the slowest, so p90 is drawn; of 120 it is a figure of its own."""
    made = record()
    made.loop(ran_s=4)
    counted(made, [])
    made.write("driver", event.LoadStarted(made.at(0), "http", "constant", per_step * 4.0, 4.0))
    for n in range(per_step * 16):
        due_s = (n + 0.5) / per_step / 4
        made.write("driver", event.Sent(n, made.at(due_s), made.at(due_s), ""))
        made.write("driver", event.Completed(n, made.at(due_s + (n % per_step + 1) / 1000), ok=True))
    made.write("driver", event.LoadEnded(made.at(4), per_step * 16))
    made.ended(4)
    document = made.document()
    line, drawn = document.timeline, chart(document)
    names = [one.name for one in drawn.lanes[1].series]

    assert names == ["p50", told, "slowest"]
    assert "due in each 0.25 s" in drawn.lanes[1].title
    tail = series(drawn, told).values
    assert set(tail[:16]) == {18.0 if told == "p90" else 119.0}
    assert set(line.max_ms[:16]) == {float(per_step)}
    assert set(line.p99_ms[:16]) == {None if told == "p90" else 119.0}
