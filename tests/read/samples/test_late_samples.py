"""Samples of late turns: together they are as long as the blocks."""

from __future__ import annotations

import pytest

from harness.read.history import load
from harness.read.report import Report
from harness.read.samples.sample import stack_samples
from harness.record import event, value
from tests.read.conftest import Look, Record, Recording

GIL_LINE = "cart.py:9 match"


def shares(document: Report) -> dict[str, float]:
    """By function, the time in it by itself in the icicle."""
    icicle = document.icicle
    assert icicle is not None
    times: dict[str, float] = {}
    for row in icicle.rows:
        name = icicle.lines[icicle.called[row.call - 1]].function if row.call else "the loop"
        times[name] = times.get(name, 0.0) + row.took_ms
    return times


def held_gil(made: Recording, look: Look, at_s: float, held_s: float) -> None:
    """A call that held the GIL: the one sample was taken when it let go."""
    sample = look(GIL_LINE)
    end_ns = made.at(at_s + held_s - 0.001)
    sample = value.replace(sample, first_ns=end_ns, last_ns=end_ns)
    turn = event.Blocked(
        *(made.at(at_s), round(held_s * 1e9), True, 4242, 0),
        samples=(sample,),
        victims=(),
        victims_total=0,
    )
    made.write("target", turn)


def test_code_that_holds_the_gil_has_the_time_it_took(record: Record, look: Look) -> None:
    """Not that of its only sample: the icicle and the blocks tell the same."""
    made = record()
    made.loop()
    held_gil(made, look, 2, 6)
    made.blocked(10, 300, [look("hosts.py:41 restart", count=40)])
    made.ended()
    document = made.document()

    assert shares(document) == pytest.approx({"match": 6000, "restart": 300}, rel=0.01)
    assert sum(shares(document).values()) == pytest.approx(sum(block.held_ms for block in document.blocks))


def test_a_turn_without_a_sample_is_not_left_out(record: Record) -> None:
    """It has a box of its own."""
    made = record()
    made.loop()
    made.blocked(2, 400)
    made.ended()

    assert shares(made.document()) == {"<not sampled>": 400.0}


def test_a_sample_lies_where_its_time_was(record: Record, look: Look) -> None:
    """From the turn's start to its end, one after the other."""
    made = record()
    made.loop()
    made.blocked(2, 400, [look("a.py:1 f"), look("b.py:1 g")])
    made.ended()
    made.close()
    first, second = stack_samples(load(made.folder))

    assert (first.ticks[0].from_ns, second.ticks[0].to_ns) == (made.at(2), made.at(2.4))
    assert first.ticks[0].to_ns == second.ticks[0].from_ns
