"""Which other threads may have held the GIL, by the one look at them when it was free again."""

from __future__ import annotations

import pytest

from harness.record.observation import FUTEX_WITH_LIMIT, Blocked, Frame, OtherThread
from harness.stacks.cause import suspects

HELD_NS = 200_000_000


def turn(*others: OtherThread) -> Blocked:
    return Blocked(0, HELD_NS, True, 1, 0, (), (), 0, others=others)


@pytest.mark.parametrize(
    ("syscall", "used_ns", "leaf", "suspect"),
    [
        pytest.param("running", 0, "keep", True, id="runs"),
        pytest.param(FUTEX_WITH_LIMIT, 0, "keep", True, id="let the GIL go, and waits for it"),
        pytest.param("futex", 0, "keep", False, id="waits for a lock"),
        pytest.param("futex", 5_000_000, "keep", True, id="gets the GIL now and then"),
        pytest.param(FUTEX_WITH_LIMIT, 0, "Condition.wait", False, id="waits for something else for a time"),
        pytest.param("read", 5_000_000, "keep", False, id="reads"),
    ],
)
def test_threads_that_wait_for_something_else_are_no_suspects(
    syscall: str, used_ns: int, leaf: str, suspect: bool
) -> None:
    """Who held the GIL runs, or waits for it again."""
    other = OtherThread("worker", (Frame("/app/shop.py", 3, leaf),), HELD_NS, used_ns, syscall)

    assert (suspects(turn(other)) == (other,)) is suspect
