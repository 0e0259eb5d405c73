"""A block as far as it can be told inside of the process: how long, which line, and a cause if it is plain.

Which of two causes it was, and who else had a part in it, is judged by the reader (`read/`), which sees all
of the record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...record import page
from ...record.clock import monotonic_ns
from ...record.observation import Blocked, Frame, Sample
from .blame import Territory

if TYPE_CHECKING:
    from .process import ProcessView

# A cause is plain when it had this part of the time.
PLAIN = 0.5
_NOT_WAITING = ("", "running")


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """One block, with the frame that had most of its time."""

    blocked: Blocked
    frame: Frame | None
    sample: Sample | None  # one that shows this frame
    cause: str  # "call", "cpu", "gc", "import", "many"; "" where it is not plain

    @property
    def held_ms(self) -> float:
        return self.blocked.held_ns / 1e6


@dataclass(slots=True)
class BlockerSummary:
    """Everything that one line did to the loops."""

    frame: Frame | None
    count: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    cause: str = ""  # of its longest block

    def add(self, block: BlockSummary) -> None:
        """One more of its blocks."""
        self.count += 1
        self.total_ms += block.held_ms
        if block.held_ms >= self.max_ms:
            self.max_ms, self.cause = block.held_ms, block.cause


def kept(process: ProcessView) -> list[Blocked]:
    """The latest blocks, oldest first; of one that goes on, with the time until now."""
    blocks = list(process.recent.blocks())
    if blocks and not all(blocked.ended for blocked in blocks):
        now_ns = monotonic_ns()
        began = {(v.number, v.words[page.TURN] or v.words[page.DUE]) for v in process.loops()}
        blocks = [
            replace(blocked, held_ns=now_ns - blocked.at_ns)
            if not blocked.ended and (blocked.loop, blocked.at_ns) in began
            else blocked
            for blocked in blocks
        ]
    return blocks


def of(blocked: Blocked, territory: Territory) -> BlockSummary:
    """What can be told of this block."""
    times: dict[Frame | None, int] = {}
    shown: dict[Frame | None, Sample] = {}
    waited_ns = import_ns = 0
    ended_ns = blocked.at_ns + blocked.held_ns
    for sample, began_ns, until_ns in _stretches(blocked.samples, blocked.at_ns, ended_ns):
        frame = territory.blamed(sample.stack)
        times[frame] = times.get(frame, 0) + until_ns - began_ns
        shown.setdefault(frame, sample)
        waited_ns += (until_ns - began_ns) * (sample.syscall not in _NOT_WAITING)
        import_ns += (until_ns - began_ns) * any(f.file.startswith("<frozen importlib") for f in sample.stack)
    if not times:
        return BlockSummary(blocked, None, None, "")
    frame = max(times, key=times.__getitem__)
    enough_ns = blocked.held_ns * PLAIN
    if sum(pause.held_ns for pause in blocked.pauses) >= enough_ns:
        cause = "gc"
    elif len(times) > 1 and times[frame] < enough_ns:
        cause = "many"
    elif import_ns >= enough_ns:
        cause = "import"
    elif waited_ns >= enough_ns:
        cause = "call"
    elif blocked.whole_ns and (blocked.whole_cpu_ns or 0) >= blocked.whole_ns * PLAIN:
        cause = "cpu"
    else:
        cause = ""
    return BlockSummary(blocked, frame, shown[frame], cause)


def blockers(blocks: Iterable[Blocked], territory: Territory) -> list[BlockerSummary]:
    """The lines that held the loops, the one with most time first."""
    found: dict[Frame | None, BlockerSummary] = {}
    for blocked in blocks:
        block = of(blocked, territory)
        found.setdefault(block.frame, BlockerSummary(block.frame)).add(block)
    return sorted(found.values(), key=lambda blocker: -blocker.total_ms)


class BlockNumbers:
    """Numbers for blocks, as long as they are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[int, int], int] = {}
        self._last = 0

    def of(self, blocks: Sequence[Blocked]) -> list[int]:
        """The number of each; those that are no longer kept are forgotten."""
        with self._lock:
            known: dict[tuple[int, int], int] = {}
            for block in blocks:
                key = (block.loop, block.at_ns)
                if (number := self._numbers.get(key)) is None:
                    self._last = number = self._last + 1
                known[key] = number
            self._numbers = known
            return list(known.values())


def _stretches(samples: Sequence[Sample], began_ns: int, ended_ns: int) -> Iterable[tuple[Sample, int, int]]:
    """Each sample with the time it stands for: up to the next one; what was before the first is its own."""
    for index, sample in enumerate(samples):
        until_ns = samples[index + 1].first_ns if index + 1 < len(samples) else ended_ns
        yield sample, began_ns, max(began_ns, until_ns)
        began_ns = max(began_ns, until_ns)
