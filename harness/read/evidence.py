"""A record, with the figures that several rules and sections of the report need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from .blocks import detect, impact
from .blocks.block import Block
from .blocks.blocker import Blocker, blockers
from .calls.allowlist import Allowlist
from .calls.call import Call
from .calls.counted import counted_calls
from .figures import block_totals, fault, hang, ledger, load, loop, overhead, task
from .figures.block_totals import BlockTotals
from .figures.fault import FaultFigures
from .figures.hang import Hang
from .figures.ledger import LedgerFigures
from .figures.load import Load
from .figures.loop import LoopFigures
from .figures.overhead import Overhead
from .history import History
from .processes.process import ProcessFigures, processes
from .spans import broken_trace, span
from .spans.broken_trace import BrokenTrace
from .spans.span import SpanFigures, Waterfall
from .spans.wait_report import SpanTimes
from .spinning import spin
from .spinning.spin import Spin
from .units import seconds


@dataclass(frozen=True, eq=False)  # not slotted: `cached_property` keeps its values in the instance
class Evidence:
    """The record and the allowlist for its calls; each figure is computed once, when it is first used."""

    history: History
    allowlist: Allowlist
    # Called often while much is computed, where others wait for this thread to give them the GIL.
    pause: Callable[[], object] = int

    @cached_property
    def duration_s(self) -> float:
        """From the run's start to the end of the record."""
        return seconds(self.history.since_start_ns(self.history.ended_ns))

    @cached_property
    def processes(self) -> tuple[ProcessFigures, ...]:
        """Every process of the run, watched or not."""
        return processes(self.history)

    @cached_property
    def load(self) -> Load | None:
        return load.load(self.history)

    @cached_property
    def loop(self) -> LoopFigures:
        return loop.figures(self.history, task.figures(self.history, self.leaks))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, oldest first, with the spans around it."""
        return span.with_paths(self.history, detect.blocks(self.history, pause=self.pause))

    @property
    def held_ms(self) -> float:
        """The time of all blocks together."""
        return sum(block.held_ms for block in self.blocks)

    @cached_property
    def block_totals(self) -> BlockTotals:
        return block_totals.totals(self.history, self.blocks, self.loop)

    @cached_property
    def blockers(self) -> tuple[Blocker, ...]:
        """The places that blocked, worst first, with their impact on latency."""
        return impact.with_impact(self.history, self.blocks, blockers(self.blocks))

    @cached_property
    def hangs(self) -> tuple[Hang, ...]:
        """The turns that were told while they lasted, oldest first."""
        return hang.hangs(self.history, self.blocks)

    @cached_property
    def leaks(self) -> tuple[task.Leak, ...]:
        return task.leaks(self.history)

    @cached_property
    def spins(self) -> tuple[Spin, ...]:
        """What kept a loop spinning, worst first."""
        return spin.spins(self.history)

    @cached_property
    def calls(self) -> tuple[Call, ...] | None:
        return counted_calls(self.history, self.allowlist)

    @property
    def new_calls(self) -> int | None:
        """How many places made calls not on the allowlist; `None` when calls were not counted."""
        return None if self.calls is None else sum(call.new for call in self.calls)

    @cached_property
    def span_times(self) -> SpanTimes:
        return SpanTimes(self.history, self.blocks)

    @cached_property
    def spans(self) -> SpanFigures:
        return span.spans(self.history, self.span_times)

    @cached_property
    def broken_traces(self) -> tuple[BrokenTrace, ...]:
        """The places at which traces end, most spans first."""
        return broken_trace.broken_traces(self.history)

    @cached_property
    def traces(self) -> tuple[Waterfall, ...]:
        """The traces that the report shows."""
        return span.traces(self.history, self.blocks, self.span_times)

    @cached_property
    def ledger(self) -> LedgerFigures | None:
        return ledger.ledger(self.history)

    @cached_property
    def faults(self) -> tuple[FaultFigures, ...]:
        return fault.faults(self.history)

    @cached_property
    def overhead(self) -> Overhead:
        return overhead.overhead(self.history)
