"""The time of a trace in which no span of a loop ran: a message lay in a queue, a request was not read yet.

A block in that time delays the trace although no task of it is due, so it is no victim of the block.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...record.event import SpanEnded
from ..blocks.block import Block
from ..history import History
from ..units import ms, seconds
from .segment import Gap, Segment

# A shorter overlap delays nobody noticeably.
LEAST_NS = 1_000_000


class _BlockedTime(NamedTuple):
    """A block, or the part of it in a gap, by the record's clock."""

    from_ns: int
    to_ns: int
    block: Block


class TraceGaps:
    """The blocks that lie in the gaps of traces."""

    def __init__(self, history: History, blocks: tuple[Block, ...]) -> None:
        self._history = history
        threads = {(loop.started.pid, loop.started.loop): loop.started.thread for loop in history.loops}
        # By process and thread of the loop, oldest first.
        self._blocked: dict[tuple[int, str], list[_BlockedTime]] = defaultdict(list)
        for block in sorted(blocks, key=lambda block: block.at_s):
            from_ns = history.run.started_ns + round(block.at_s * 1e9)
            where = block.pid, threads.get((block.pid, block.loop), "")
            self._blocked[where].append(_BlockedTime(from_ns, from_ns + round(block.held_ms * 1e6), block))

    def hurt(self, members: Sequence[SpanEnded]) -> bool:
        """Whether a block of a loop that worked on the trace lies in one of its gaps."""
        from_ns, to_ns = min(s.start_ns for s in members), max(s.end_ns for s in members)
        return any(part.to_ns - part.from_ns >= LEAST_NS for part in self._within(members, from_ns, to_ns))

    def before(self, members: Sequence[SpanEnded], path: Sequence[Segment]) -> tuple[Segment, ...]:
        """The segments from the trace's start to the critical *path*: blocks, and the time between them."""
        at_ns = min(span.start_ns for span in members)
        until_ns = self._history.run.started_ns + round(path[0].at_s * 1e9) if path else at_ns
        found = []
        for part in self._within(members, at_ns, until_ns):
            if part.from_ns > at_ns:
                found.append(self._segment(at_ns, part.from_ns, Gap.AWAY, None))
            found.append(self._segment(max(at_ns, part.from_ns), part.to_ns, Gap.BLOCKED, part.block))
            at_ns = part.to_ns
        if at_ns < until_ns:
            found.append(self._segment(at_ns, until_ns, Gap.AWAY, None))
        return tuple(found)

    def _within(self, members: Sequence[SpanEnded], from_ns: int, to_ns: int) -> list[_BlockedTime]:
        """The parts of blocks in the gaps between two instants, in order of time."""
        loops = {(span.pid, span.thread) for span in members} & self._blocked.keys()
        parts = [
            part
            for loop in loops
            for gap in _gaps(members, loop, from_ns, to_ns)
            for part in _clipped(self._blocked[loop], *gap)
        ]
        return sorted(parts, key=lambda part: part.from_ns)

    def _segment(self, from_ns: int, to_ns: int, what: Gap, block: Block | None) -> Segment:
        return Segment(
            at_s=seconds(self._history.since_start_ns(from_ns)),
            took_ms=ms(to_ns - from_ns),
            what=what,
            who=block.function if block is not None else "",
            where=block.where if block is not None else "",
            span="",
        )


def _gaps(
    members: Sequence[SpanEnded], loop: tuple[int, str], from_ns: int, to_ns: int
) -> Iterator[tuple[int, int]]:
    """The time between two instants that no span of *loop* covers."""
    covered = sorted((span.start_ns, span.end_ns) for span in members if (span.pid, span.thread) == loop)
    for start_ns, end_ns in (*covered, (to_ns, to_ns)):
        if start_ns > from_ns:
            yield from_ns, min(start_ns, to_ns)
        from_ns = max(from_ns, end_ns)
        if from_ns >= to_ns:
            return


def _clipped(blocked: list[_BlockedTime], from_ns: int, to_ns: int) -> Iterator[_BlockedTime]:
    # The blocks of one loop follow each other, so their ends are in order, too.
    first = bisect_right(blocked, from_ns, key=lambda part: part.to_ns)
    last = bisect_left(blocked, to_ns, key=lambda part: part.from_ns)
    for part in blocked[first:last]:
        yield part._replace(from_ns=max(part.from_ns, from_ns), to_ns=min(part.to_ns, to_ns))
