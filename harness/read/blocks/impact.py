"""What would be gained if a place did not block: an estimate from the requests of the same run.

From each answered request the time is taken away in which the place held the loop between when the request
was due and its answer; what is left has a percentile of its own. It is a sum, not a simulation:

- too much is gained where a request would have waited for something else in that time anyhow;
- too little where a queue built up behind the block, and later requests waited for its end.

With several loops nobody knows which of them a request waited for, so nothing is estimated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate

from ..history import History
from ..percentile import percentiles
from ..units import ms
from .block import Block
from .blocker import Blocker, is_at

# Of so many places, the worst; each costs a walk over all requests.
PLACES = 12


def with_impact(
    history: History, blocks: tuple[Block, ...], places: tuple[Blocker, ...]
) -> tuple[Blocker, ...]:
    """The places with what each costs in latency by itself, where that can be told."""
    return (
        *(
            replace(place, p99_gain_ms=p99_ms(history, (block for block in blocks if is_at(block, place))))
            for place in places[:PLACES]
        ),
        *places[PLACES:],
    )


def p99_ms(history: History, blocks: Iterable[Block]) -> float | None:
    """How much lower the p99 of latency would be without *blocks*; `None` where that cannot be told."""
    due = [
        (request.intended_ns, request.done_ns)
        for request in history.requests
        if request.intended_ns is not None
    ]
    if not due or len(history.loops) != 1:
        return None
    held = _Held(history, blocks)
    with_ns = [(done_ns or history.ended_ns) - due_ns for due_ns, done_ns in due]
    without_ns = [
        took_ns - (held.between(due_ns, done_ns) if done_ns is not None else 0)
        for took_ns, (due_ns, done_ns) in zip(with_ns, due, strict=True)
    ]
    (before,), (after,) = percentiles(with_ns, (0.99,)), percentiles(without_ns, (0.99,))
    return ms((before or 0) - (after or 0))


class _Held:
    """For how long some blocks, none of which overlap, held the loop."""

    def __init__(self, history: History, blocks: Iterable[Block]) -> None:
        spans = sorted(
            (history.run.started_ns + round(block.at_s * 1e9), round(block.held_ms * 1e6)) for block in blocks
        )
        self._starts = [start_ns for start_ns, _ in spans]
        self._lengths = [length_ns for _, length_ns in spans]
        self._before = list(accumulate(self._lengths, initial=0))

    def between(self, from_ns: int, to_ns: int) -> int:
        """The time that was held from one instant to the other."""
        return self._until(to_ns) - self._until(from_ns)

    def _until(self, at_ns: int) -> int:
        index = bisect_right(self._starts, at_ns) - 1
        if index < 0:
            return 0
        return self._before[index] + min(self._lengths[index], at_ns - self._starts[index])
