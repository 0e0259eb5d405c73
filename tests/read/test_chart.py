"""The data of the timeline's chart."""

from __future__ import annotations

from harness.read.chart import BANDS, Band, chart
from harness.record import event
from tests.read.conftest import Record


def test_faults_that_overlap_are_in_different_rows(record: Record) -> None:
    """A row is used again once its band is over; a fault that was never undone lasts to the end."""
    made = record()
    made.loop(ran_s=10)
    for fault, from_s in (("a", 1), ("b", 2), ("c", 5), ("d", 6)):
        made.write("runner", event.FaultInjected(made.at(from_s), fault, "block.sleep", "x"))
    for fault, to_s in (("a", 5), ("b", 4), ("c", 7)):
        made.write("runner", event.FaultUndone(made.at(to_s), fault, 1))
    made.ended(10)
    drawn = chart(made.document())

    assert drawn.bands == (
        Band("a · block.sleep", 1.0, 5.0, 0),
        Band("b · block.sleep", 2.0, 4.0, 1),
        Band("c · block.sleep", 5.0, 7.0, 0),
        Band("d · block.sleep", 6.0, drawn.whole_s, 1),
    )


def test_the_number_of_faults_in_the_chart_is_bounded(record: Record) -> None:
    """The first ones are drawn."""
    made = record()
    made.loop(ran_s=4)
    for number in range(BANDS + 5):
        made.write("runner", event.FaultInjected(made.at(1), f"f{number}", "block.sleep", "x"))
    made.ended(4)

    assert [band.row for band in chart(made.document()).bands] == list(range(BANDS))
