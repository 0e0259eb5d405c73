"""What a late turn has lost of the processor."""

from __future__ import annotations

from harness.record.observation import Blocked
from harness.record.value import replace
from harness.stacks.starvation import queued

MS = 1_000_000
LATE = Blocked(
    at_ns=MS,
    held_ns=0,
    ended=False,
    pid=1,
    loop=0,
    samples=(),
    victims=(),
    victims_total=0,
    woke_ns=101 * MS,
    woke_queued_ns=60 * MS,
)


def test_what_was_lost_before_and_after_the_loop_was_awake() -> None:
    """Due 100 ms before it woke up, of which it had no processor for 60; of the rest, for 30."""
    lost = queued(replace(LATE, held_ns=400 * MS, whole_queued_ns=90 * MS))

    assert (lost.asleep_ns, lost.awake_ns, lost.whole_ns) == (60 * MS, 30 * MS, 90 * MS)


def test_a_turn_that_was_measured_before_its_loop_woke_up_lost_nothing_afterwards() -> None:
    """The watchdog takes the time first, and the loop may wake up before the event is written."""
    lost = queued(replace(LATE, held_ns=80 * MS, queued_ns=5 * MS))

    assert (lost.asleep_ns, lost.awake_ns) == (60 * MS, 0)
