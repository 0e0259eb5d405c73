"""The places that blocked, worst first: the blocks grouped by frame and cause."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ...stacks.cause import Cause
from ...stacks.wait_kind import WaitKind
from ..units import duration, plural
from .block import Block


@dataclass(frozen=True, slots=True)
class Blocker:
    """One line of code with the sums over its blocks."""

    function: str
    file: str
    line: int
    where: str
    cause: Cause
    waits_for: WaitKind  # this, the hint and the leaf are those of its longest block
    hint: str
    help: str
    leaf: str
    library: str
    count: int
    total_ms: float
    max_ms: float
    victims_total: int
    spans: tuple[str, ...]  # the names of the spans it blocked in, most frequent first
    faults: tuple[str, ...]
    gc_ms: float = 0.0  # the part of `total_ms` that was garbage collection
    p99_gain_ms: float | None = None  # how much lower p99 latency would be without it (`impact.py`)

    @property
    def title(self) -> str:
        """The function, with the library call that was in progress: ``socket.recv <- Cart.load``."""
        return f"{self.leaf} <- {self.function}" if self.leaf else self.function

    @property
    def sentence(self) -> str:
        """The message of its finding, without a full stop."""
        times = plural(self.count, "time")
        return f"{self.function} held the loop {times} for up to {duration(self.max_ms)} ({self.cause})"


def blockers(blocks: tuple[Block, ...]) -> tuple[Blocker, ...]:
    """The blocks grouped by the frame to blame and the cause, most time first."""
    places: dict[tuple[str, str, int, str], list[Block]] = {}
    for block in blocks:
        places.setdefault((block.function, block.file, block.line, block.cause), []).append(block)
    found = (_blocker(members) for members in places.values())
    return tuple(sorted(found, key=lambda blocker: -blocker.total_ms))


def is_at(block: Block, blocker: Blocker) -> bool:
    """Whether *block* is counted in *blocker*."""
    mine = (block.function, block.file, block.line, block.cause)
    return mine == (blocker.function, blocker.file, blocker.line, blocker.cause)


def _blocker(members: list[Block]) -> Blocker:
    first = members[0]
    example = _example(members)
    spans = [block.span for block in members if block.span]
    return Blocker(
        function=first.function,
        file=first.file,
        line=first.line,
        where=first.where,
        cause=first.cause,
        waits_for=example.waits_for,
        hint=example.hint,
        help=example.help,
        leaf=example.leaf,
        library=example.library,
        count=len(members),
        total_ms=round(sum(block.held_ms for block in members), 3),
        max_ms=max(block.held_ms for block in members),
        victims_total=sum(block.victims_total for block in members),
        spans=tuple(sorted(dict.fromkeys(spans), key=lambda name: -spans.count(name))),
        gc_ms=round(sum(block.gc_ms for block in members), 3),
        faults=tuple(dict.fromkeys(block.fault for block in members if block.fault)),
    )


def _example(members: list[Block]) -> Block:
    """The longest block with the library call that took the most time."""
    spent_ms: defaultdict[str, float] = defaultdict(float)
    for block in members:
        spent_ms[block.leaf] += block.held_ms
    leaf = max(spent_ms, key=lambda leaf: spent_ms[leaf])
    return max((block for block in members if block.leaf == leaf), key=lambda block: block.held_ms)
