"""What held a loop: the sightings of late turns (`Blocked`) as blocks, each with one frame to blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...record import event
from ...record.event import Blocked, ThreadsDumped
from ..blame import Territory, candidates, imported, imports, leaf, library, own_frames
from ..history import History, Loop
from ..units import ms, seconds
from . import starvation
from .advice import hint as hint_for
from .block import Block, BlockVictim, Culprit
from .cause import cause as cause_of
from .cause import suspects
from .interval import Interval, StackObservation, blamed, intervals
from .library import library_calls
from .outside_view import only_seen_outside, with_outside_samples
from .wait_kind import waits_for

CULPRITS = 5


def blocks(history: History) -> tuple[Block, ...]:
    """Every block of every loop, oldest first."""
    loops = {(loop.started.pid, loop.started.loop): loop for loop in history.loops}
    found = [
        block
        for turn in (*_latest(history.of(Blocked)), *only_seen_outside(history))
        for block in _blocks_of(
            with_outside_samples(turn, history.of(ThreadsDumped)), loops.get((turn.pid, turn.loop)), history
        )
    ]
    return tuple(sorted(found, key=lambda block: block.at_s))


def _latest(turns: list[Blocked]) -> Iterator[Blocked]:
    """One event per turn: the one that was written when the turn ended, else the provisional one."""
    by_turn: dict[tuple[int, int, int], Blocked] = {}
    for turn in turns:
        key = (turn.pid, turn.loop, turn.at_ns)
        known = by_turn.get(key)
        if known is None or (turn.ended, turn.held_ns) >= (known.ended, known.held_ns):
            by_turn[key] = turn
    yield from (turn for turn in by_turn.values() if turn.ended or not _is_told(turn, by_turn.values()))


def _is_told(provisional: Blocked, turns: Iterable[Blocked]) -> bool:
    """Whether the same time stands in the record as a turn that ended.

    A loop that lost the processor between two turns looks from outside as if the first one went on.
    """
    began_ns, over_ns = provisional.at_ns, provisional.at_ns + provisional.held_ns
    return any(
        turn.ended
        and (turn.pid, turn.loop) == (provisional.pid, provisional.loop)
        and turn.at_ns < over_ns
        and began_ns < turn.at_ns + turn.held_ns
        for turn in turns
    )


def _blocks_of(turn: Blocked, loop: Loop | None, history: History) -> Iterator[Block]:
    territory = Territory(loop.started.application, loop.started.libraries) if loop else Territory((), ())
    limit_ns = loop.started.limit_ns if loop else history.run.block_limit_ns
    thread = loop.started.thread if loop else ""
    found = intervals(turn, territory, limit_ns)
    for stretch in found:
        cause = cause_of(turn, stretch, beside=found, limit_ns=limit_ns)
        victims = _victims(turn, stretch) if len(found) > 1 else turn.victims
        # Those that are not listed waited the shortest: of several blocks in the turn for the last one.
        unlisted = turn.victims_total - len(turn.victims) if stretch is found[-1] else 0
        yield _block(turn, stretch, cause, territory, thread, history, victims, len(victims) + unlisted)


def _block(
    turn: Blocked,
    stretch: Interval,
    cause: str,
    territory: Territory,
    thread: str,
    history: History,
    victims: tuple[event.DelayedStep, ...],
    victims_total: int,
) -> Block:
    frame, sample = blamed(stretch)
    stack = sample.stack if sample.count else ()
    call, package = leaf(stack, frame, territory), library(stack, frame, territory)
    culprits: tuple[Culprit, ...] = ()
    if stretch.depth == 0 and len({look.step for look in stretch.looks}) > 1:
        cause, culprits = "many", _shares(turn, stretch, thread)
    elif imports(stack):
        # The stack ends where the import was asked for; what ran inside it is the culprit.
        cause, call = "import", f"import {imported(stack, territory)}".strip()
        culprits = (Culprit(thread, 1.0, stack),)
        stack = stack[: len(stack) - stack[::-1].index(frame)]
        package = library(stack, frame, territory)
    elif cause == "gil":
        culprits = _holders(turn)
        if culprits:
            frame, call = candidates(culprits[0].stack, territory)[-1], ""
            package = library(culprits[0].stack, frame, territory)
    elif cause == "descheduled":
        call = starvation.why(turn, history)
    elif cause == "gc":
        worst = max(turn.pauses, key=lambda pause: pause.held_ns)
        call = f"collection of generation {worst.generation}"
    kind = waits_for(stretch, territory) if cause == "call" else ""
    hint = hint_for(cause, kind, library_calls(stack, territory))
    return Block(
        at_s=seconds(history.since_start_ns(stretch.looks[0].from_ns)),
        held_ms=ms(stretch.held_ns),
        count=1,
        cause=cause,
        waits_for=kind,
        hint=hint.text,
        help=hint.help,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        where=f"{territory.short(frame.file)}:{frame.line}" if frame.file else "",
        leaf=call,
        library=package,
        task=sample.task,
        coroutine=sample.coroutine,
        awaited_by=sample.awaited_by,
        created=sample.created,
        span=sample.span,
        trace_id=sample.trace_id,
        span_id=sample.span_id,
        labels={},
        stack=stack,
        own=tuple(index for index, line in enumerate(stack) if territory.is_application(line)),
        samples=sum(look.sample.count for look in stretch.looks),
        culprits=culprits,
        victims=tuple(
            BlockVictim(v.label, v.span, v.trace_id, ms(v.delayed_ns), v.at_most)
            for v in sorted(victims, key=lambda victim: (victim.at_most, -victim.delayed_ns))
        ),
        victims_total=victims_total,
        fault=next((look.sample.fault for look in stretch.looks if look.sample.fault), None),
        ended=turn.ended,
        pid=turn.pid,
        loop=turn.loop,
    )


def _holders(turn: Blocked) -> tuple[Culprit, ...]:
    """The threads that may have held the GIL, each with its share of what they used together."""
    threads = suspects(turn)[:CULPRITS]
    used_ns = sum(other.used_ns for other in threads)
    return tuple(
        Culprit(other.thread, round(other.used_ns / used_ns if used_ns else 1 / len(threads), 3), other.stack)
        for other in threads
    )


def _shares(turn: Blocked, stretch: Interval, thread: str) -> tuple[Culprit, ...]:
    """The functions that were seen most among many short callbacks, each with its share of the time."""
    spent: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], StackObservation] = {}
    for look in stretch.looks:
        key = look.path[-1].file, look.path[-1].function
        spent[key] += look.to_ns - look.from_ns
        example.setdefault(key, look)
    whole = stretch.held_ns or 1
    queued = {kind.label: kind.count for kind in turn.queue}
    shares = ((example[key].sample.stack, time_ns / whole) for key, time_ns in spent.most_common(CULPRITS))
    return tuple(
        # The outermost frame is the callback's or the task's own function: so it is called in the queue.
        Culprit(thread, round(share, 3), stack, queued.get(own_frames(stack)[0].function, 0))
        for stack, share in shares
    )


def _victims(turn: Blocked, stretch: Interval) -> tuple[event.DelayedStep, ...]:
    """Those who were due before the block was over, each with the part of the waiting that was in it."""
    began_ns, over_ns = stretch.looks[0].from_ns, stretch.looks[-1].to_ns
    turn_over_ns = turn.at_ns + turn.held_ns
    parts = ((v, over_ns - max(began_ns, turn_over_ns - v.delayed_ns)) for v in turn.victims)
    return tuple(replace(victim, delayed_ns=part_ns) for victim, part_ns in parts if part_ns > 0)
