"""What held a loop: late turns (`Blocked`) as blocks of the report, each with one frame to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...record import event
from ...record.event import CADENCE, Blocked, FaultInjected, ThreadsDumped
from ...record.value import replace
from ...stacks.diagnosis import Diagnosis, diagnose
from ...stacks.interval import Interval
from ...stacks.ownership import CodeOwnership
from ..history import History, Loop
from ..units import ms, seconds
from . import starvation
from .advice import hint as hint_for
from .advice import lazily, planted
from .block import Block, BlockVictim
from .late_turn import late_turns
from .outside_view import only_seen_outside, with_outside_samples


def blocks(history: History, *, pause: Callable[[], object] = int) -> tuple[Block, ...]:
    """Every block of every loop, oldest first; *pause* is called after each late turn."""
    loops = {(loop.started.pid, loop.started.loop): loop for loop in history.loops}
    found: list[Block] = []
    turns = late_turns(history)
    for turn in (*turns, *only_seen_outside(history, turns)):
        ownership = history.ownership(turn.pid)
        turn = with_outside_samples(turn, history.of(ThreadsDumped), ownership)
        found += _blocks_of(turn, loops.get((turn.pid, turn.loop)), ownership, history)
        pause()
    return tuple(sorted(found, key=lambda block: block.at_s))


def _blocks_of(
    turn: Blocked, loop: Loop | None, ownership: CodeOwnership, history: History
) -> Iterator[Block]:
    limit_ns, cadence, thread = history.run.block_limit_ns, CADENCE, ""
    if loop is not None:
        limit_ns, cadence, thread = loop.started.limit_ns, loop.started.cadence, loop.started.thread
    lost = starvation.loss(turn, history)
    found = list(diagnose(turn, ownership, limit_ns=limit_ns, cadence=cadence, thread=thread, lost=lost))
    for one in found:
        victims = _victims(turn, one.interval) if len(found) > 1 else turn.victims
        # Unlisted victims waited the shortest, so they count for the last block of the turn.
        unlisted = turn.victims_total - len(turn.victims) if one is found[-1] else 0
        yield _block(turn, one, ownership, history, victims, len(victims) + unlisted)


def _block(
    turn: Blocked,
    found: Diagnosis,
    ownership: CodeOwnership,
    history: History,
    victims: tuple[event.DelayedStep, ...],
    victims_total: int,
) -> Block:
    frame, sample = found.frame, found.sample
    hint = hint_for(found.cause, found.waits_for, found.library_calls)
    if found.lazy:
        hint = lazily(found.lazy)
    if found.fault is not None:
        detail = next((e.detail for e in history.of(FaultInjected) if e.id == found.fault), "")
        hint = planted(found.fault, detail)
    return Block(
        at_s=seconds(history.since_start_ns(found.at_ns)),
        held_ms=ms(found.held_ns),
        count=1,
        cause=found.cause,
        waits_for=found.waits_for,
        hint=hint.text,
        help=hint.help,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        where=f"{ownership.short(frame.file)}:{frame.line}" if frame.file else "",
        leaf=found.leaf,
        library=found.library,
        task=sample.task,
        coroutine=sample.coroutine,
        awaited_by=sample.awaited_by,
        created=sample.created,
        span=sample.span,
        trace_id=sample.trace_id,
        span_id=sample.span_id,
        labels={},
        stack=found.stack,
        own=tuple(index for index, line in enumerate(found.stack) if ownership.is_application(line)),
        samples=found.samples,
        culprits=found.culprits,
        victims=tuple(
            BlockVictim(v.label, v.span, v.trace_id, ms(v.delayed_ns), v.at_most)
            for v in sorted(victims, key=lambda victim: (victim.at_most, -victim.delayed_ns))
        ),
        victims_total=victims_total,
        fault=found.fault,
        gc_ms=ms(found.collected_ns),
        ended=turn.ended,
        pid=turn.pid,
        loop=turn.loop,
    )


def _victims(turn: Blocked, interval: Interval) -> tuple[event.DelayedStep, ...]:
    """The victims that were due before the block ended, with the part of their wait inside the block."""
    began_ns, over_ns = interval.looks[0].from_ns, interval.looks[-1].to_ns
    turn_over_ns = turn.at_ns + turn.held_ns
    parts = ((v, over_ns - max(began_ns, turn_over_ns - v.delayed_ns)) for v in turn.victims)
    return tuple(replace(victim, delayed_ns=part_ns) for victim, part_ns in parts if part_ns > 0)
