"""How much lower latency would be if a place did not block: an estimate from the requests of the same run.

From the latency of each answered request, subtract the time that the place held the loop during the request,
and take the percentile of the remainders. This is a sum, not a simulation. The estimate is

- too high where a request would have waited for something else in that time;
- too low where a queue built up behind the block, and later requests waited for it to drain.

With several loops there is no estimate, because it is unknown which of them a request waited for.
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

# Only for the worst places: each costs a pass over all requests.
PLACES = 12


def with_impact(
    history: History, blocks: tuple[Block, ...], places: tuple[Blocker, ...]
) -> tuple[Blocker, ...]:
    """The places with the latency that each costs by itself, where it can be estimated."""
    worst = (
        replace(place, p99_gain_ms=p99_ms(history, (block for block in blocks if is_at(block, place))))
        for place in places[:PLACES]
    )
    return (*worst, *places[PLACES:])


def p99_ms(history: History, blocks: Iterable[Block]) -> float | None:
    """How much lower p99 latency would be without *blocks*; `None` where it cannot be estimated."""
    due = [(r.intended_ns, r.done_ns) for r in history.requests if r.intended_ns is not None]
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
    """The time held by blocks that do not overlap."""

    def __init__(self, history: History, blocks: Iterable[Block]) -> None:
        spans = sorted(
            (history.run.started_ns + round(block.at_s * 1e9), round(block.held_ms * 1e6)) for block in blocks
        )
        self._starts = [start_ns for start_ns, _ in spans]
        self._lengths = [length_ns for _, length_ns in spans]
        self._before = list(accumulate(self._lengths, initial=0))

    def between(self, from_ns: int, to_ns: int) -> int:
        return self._until(to_ns) - self._until(from_ns)

    def _until(self, at_ns: int) -> int:
        index = bisect_right(self._starts, at_ns) - 1
        if index < 0:
            return 0
        return self._before[index] + min(self._lengths[index], at_ns - self._starts[index])
