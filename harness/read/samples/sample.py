"""The stack samples of a run with their weights, from which flame graphs are drawn.

They come from the sampler or from a recording from outside. In a run without either they come from the
watchdog, which samples late turns only: they show what blocked, and nothing else. Each stands for the time up
to its neighbours, as in the blocks: code that holds the GIL leaves a single sample, however long it took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ...record.event import CADENCE, Frame, FrameTable, Sample, Sampled, ThreadsDumped
from ...stacks.frame_table import FrameTables
from ...stacks.interval import observations
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack, work_in
from ..blocks.late_turn import late_turns
from ..blocks.outside_view import with_outside_samples
from ..history import History


class SamplingWay(StrEnum):
    """How a stack was sampled; all but the last as in `Sampled`."""

    SIGNAL = "signal"  # by a signal on the thread itself
    THREAD = "thread"  # by another thread, which sees mostly calls that release the GIL
    EXECUTOR = "executor"  # likewise, of an executor's thread
    OUTSIDE = "outside"  # by another process
    LATE = "late"  # in late turns only, by the watchdog

    @classmethod
    def _missing_(cls, value: object) -> SamplingWay:
        return cls.THREAD  # from a newer version, so its bias is unknown


class Tick(NamedTuple):
    """The time that one sample stands for, ending when it was taken."""

    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class StackSample:
    """Samples of one thread with the same stack, task and span."""

    at_ns: int  # of the first one, by the record's clock
    pid: int
    thread: str
    way: SamplingWay
    count: int
    weight_ns: int  # the time they stand for
    task: str
    coroutine: str
    span: str
    trace_id: str
    span_id: str
    stack: tuple[Frame, ...] = field(repr=False)  # outermost first, without the loop's frames; may be empty
    ticks: tuple[Tick, ...] = field(repr=False)  # those whose times are known; at least one


def stack_samples(history: History) -> tuple[StackSample, ...]:
    """The samples of a run, in order of time."""
    return tuple(_sampled(history)) or tuple(_late(history))


def _sampled(history: History) -> Iterator[StackSample]:
    tables = FrameTables()
    for table in history.of(FrameTable):
        tables.add(table)
    stacks: dict[tuple[int, int], tuple[Frame, ...]] = {}
    for event in history.of(Sampled):
        key = event.pid, event.stack
        if key not in stacks:
            stacks[key] = _inside(tables.stack(*key), history.ownership(event.pid))
        yield StackSample(
            at_ns=event.at_ns,
            pid=event.pid,
            thread=event.thread,
            way=SamplingWay(event.way),
            count=event.count,
            weight_ns=round(event.count * 1e9 / event.hz),
            stack=stacks[key],
            ticks=_each(event),
            **_context(event),
        )


def _late(history: History) -> Iterator[StackSample]:
    started = {(loop.started.pid, loop.started.loop): loop.started for loop in history.loops}
    for turn in late_turns(history):
        loop, ownership = started.get((turn.pid, turn.loop)), history.ownership(turn.pid)
        limit_ns = loop.limit_ns if loop else history.run.block_limit_ns
        turn = with_outside_samples(turn, history.of(ThreadsDumped), ownership)
        for look in observations(turn, ownership, limit_ns, loop.cadence if loop else CADENCE):
            sample = look.sample
            yield StackSample(
                at_ns=look.from_ns,
                pid=turn.pid,
                thread=loop.thread if loop else "",
                way=SamplingWay.LATE,
                count=sample.count,
                weight_ns=look.to_ns - look.from_ns,
                stack=_inside(sample.stack, ownership),
                ticks=(Tick(look.from_ns, look.to_ns),),
                **_context(sample),
            )


def _context(event: Sampled | Sample) -> dict[str, str]:
    return {name: getattr(event, name) for name in ("task", "coroutine", "span", "trace_id", "span_id")}


def _each(event: Sampled) -> tuple[Tick, ...]:
    """The ticks of an event; records of older versions have the time of the first one only."""
    tick_ns = 1e9 / event.hz
    if len(event.offsets) < 2:
        return (Tick(round(event.at_ns - event.count * tick_ns), event.at_ns),)
    pairs = zip(event.offsets[::2], event.offsets[1::2], strict=False)
    ends = ((event.at_ns + since_us * 1000, count) for since_us, count in pairs)
    return tuple(Tick(round(at_ns - count * tick_ns), at_ns) for at_ns, count in ends)


def _inside(stack: tuple[Frame, ...], ownership: CodeOwnership) -> tuple[Frame, ...]:
    """The stack without the frames that run the loop, or the work of an executor."""
    frames = TurnStack(stack, ownership).frames
    work = work_in(frames)
    return frames if work is None else work
