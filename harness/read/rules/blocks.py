"""What held a loop: the probe's sightings of late turns (`Blocked`) as blocks, each with one frame to blame.

A turn is read as the stretches of time between its samples, and cut from the outside in: first into steps
(one task or callback each), then along the calls of the frames that may be blamed, as long as one call lasts
longer than the limit by itself. Two long calls in one step are two blocks. What is left of a step after its
long calls is a block too when it reaches the limit, blamed on the function that made the calls. What is left
of a turn after its long steps is the block of many short callbacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from ...record import event
from ...record.event import Blocked, Frame, Sample
from ..blame import Territory, candidates, folded, imported, imports, leaf, own_frames
from ..block import Block, Culprit, Victim
from ..blocker import blockers
from ..finding import Finding
from ..history import History, Loop
from ..unit import duration, ms, plural, seconds

# Measured: what computes has at least 0.60 of its time on the processor or queueing for it, what waits 0.22.
ON_CPU_SHARE = 0.6
# Code that queued for the processor and got less of it than this did not run: the machine was full.
STARVED_SHARE = 0.2
# These say nothing of the cause: what computes is found at the lock of the GIL, which its watcher holds.
NOT_WAITING = ("", "running", "futex")
# Between two stretches of the same call, one sample in so many may have seen something else.
NOISE = 10
CULPRITS = 5
NOT_SAMPLED = "<not sampled>"


def blocks(history: History) -> tuple[Block, ...]:
    """Every block of every loop, oldest first."""
    loops = {(loop.started.pid, loop.started.loop): loop for loop in history.loops}
    found = [
        block
        for turn in _latest(history.of(Blocked))
        for block in _blocks_of(turn, loops.get((turn.pid, turn.loop)), history)
    ]
    return tuple(sorted(found, key=lambda block: block.at_s))


def findings(history: History, found: tuple[Block, ...]) -> Iterator[Finding]:
    """One warning per place that blocked, worst first; notes on what is not known of the blocks."""
    for place in blockers(found):
        times = plural(place.count, "time")
        message = f"{place.function} held the loop {times} for up to {duration(place.max_ms)} ({place.cause})"
        yield Finding("blocks", "warning", message, place.file or None, place.line or None)
    for block in found:
        if not block.ended:
            held = f"it held the loop for at least {duration(block.held_ms)}"
            message = f"process {block.pid} ended inside this block: {held}"
            yield Finding("blocks", "note", message, block.file or None, block.line or None)
    counted = sum(loop.page.blocks for loop in history.loops if loop.page)
    recorded = sum(turn.ended for turn in history.of(Blocked))
    if counted > recorded:
        unseen = plural(counted - recorded, "turn")
        yield Finding("blocks", "note", f"{unseen} over the limit counted, but not recorded")


@dataclass(frozen=True, slots=True)
class _Look:
    """One sample with the stretch of time it stands for."""

    sample: Sample
    path: tuple[Frame, ...]  # what may be blamed, outermost first; never empty
    step: tuple[str, str]  # which task or callback was running
    from_ns: int
    to_ns: int

    @property
    def waited_ns(self) -> int:
        """How much of its time the kernel is known to have kept the thread waiting."""
        return 0 if self.sample.syscall in NOT_WAITING else self.to_ns - self.from_ns

    def call(self, depth: int) -> tuple[str, str] | None:
        """The step at depth 0, below it the function that may be blamed; `None` when the stack ends above."""
        if depth == 0:
            return self.step
        if depth > len(self.path):
            return None
        return self.path[depth - 1].file, self.path[depth - 1].function


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Looks that make one block together; *depth* is that of the innermost call they share, 0 for none."""

    depth: int
    looks: list[_Look]

    @property
    def held_ns(self) -> int:
        return _length(self.looks)

    @property
    def waited_ns(self) -> int:
        return sum(look.waited_ns for look in self.looks)

    @property
    def blame(self) -> tuple[object, ...]:
        return self.looks[0].step, self.looks[0].call(self.depth)


def _latest(turns: list[Blocked]) -> Iterator[Blocked]:
    """One event per turn: the one that was written when the turn ended, else the provisional one."""
    by_turn: dict[tuple[int, int, int], Blocked] = {}
    for turn in turns:
        key = (turn.pid, turn.loop, turn.at_ns)
        known = by_turn.get(key)
        if known is None or (turn.ended, turn.held_ns) >= (known.ended, known.held_ns):
            by_turn[key] = turn
    yield from by_turn.values()


def _blocks_of(turn: Blocked, loop: Loop | None, history: History) -> Iterator[Block]:
    territory = Territory(loop.started.application, loop.started.libraries) if loop else Territory((), ())
    limit_ns = loop.started.limit_ns if loop else history.run.block_limit_ns
    thread = loop.started.thread if loop else ""
    looks = list(_looks(turn, territory))
    stretches = _joined(sorted(_cut(looks, limit_ns), key=lambda s: s.looks[0].from_ns))
    computing = _cause_by_cpu(turn, waited_ns=sum(look.waited_ns for look in looks))
    for stretch in stretches:
        cause = "call" if stretch.waited_ns * 2 > stretch.held_ns else computing
        victims = _victims(turn, stretch) if len(stretches) > 1 else turn.victims
        # Those that are not listed waited the shortest: of several blocks in the turn for the last one.
        unlisted = turn.victims_total - len(turn.victims) if stretch is stretches[-1] else 0
        yield _block(turn, stretch, cause, territory, thread, history, victims, len(victims) + unlisted)


def _looks(turn: Blocked, territory: Territory) -> Iterator[_Look]:
    samples = [sample for sample in turn.samples if sample.stack] or [_unseen(turn)]
    start = turn.at_ns
    for sample, following in zip(samples, [*samples[1:], None], strict=True):
        end = (sample.last_ns + following.first_ns) // 2 if following else turn.at_ns + turn.held_ns
        end = max(start, end)
        seen = replace(sample, stack=folded(sample.stack))
        yield _Look(seen, candidates(seen.stack, territory), _step(seen), start, end)
        start = end


def _unseen(turn: Blocked) -> Sample:
    """What stands for the samples of a turn that has none."""
    nowhere = (Frame("", 0, NOT_SAMPLED),)
    return Sample(turn.at_ns, turn.at_ns, 0, nowhere, task="", coroutine="", span="", trace_id="", span_id="")


def _step(sample: Sample) -> tuple[str, str]:
    if sample.task or sample.coroutine:
        return sample.task, sample.coroutine
    callback = (own_frames(sample.stack) or sample.stack)[0]
    return callback.file, callback.function


def _cut(looks: list[_Look], limit_ns: int) -> Iterator[_Stretch]:
    """The looks of a turn as blocks, in no order."""
    # Not a recursive function: the stacks of recursive programs are as deep as this one could go.
    pending = [(0, looks)]
    while pending:
        depth, looks = pending.pop()
        long = [r for r in _runs(looks, depth) if _length(r) >= limit_ns and _of(r, depth) is not None]
        kept = {id(look) for run in long for look in run}
        rest = [look for look in looks if id(look) not in kept]
        if rest and (not long or _length(rest) >= limit_ns):
            yield _Stretch(max(depth - 1, 0), rest)
        pending += [(depth + 1, run) for run in long]


def _runs(looks: list[_Look], depth: int) -> list[list[_Look]]:
    """Consecutive looks at the same call, across the odd sample that saw something else."""
    runs: list[list[_Look]] = []
    for call, group in groupby(looks, key=lambda look: look.call(depth)):
        run = list(group)
        around = _length(runs[-2]) + _length(run) if len(runs) >= 2 and _of(runs[-2], depth) == call else 0
        if around and _length(runs[-1]) * NOISE <= around:
            noise = runs.pop()
            runs[-1] += noise + run
        else:
            runs.append(run)
    return runs


def _of(run: list[_Look], depth: int) -> tuple[str, str] | None:
    return run[0].call(depth)


def _joined(stretches: list[_Stretch]) -> list[_Stretch]:
    """A recursive function is cut at every level of its calls; neighbours with one blame are one block."""
    joined: list[_Stretch] = []
    for stretch in stretches:
        if stretch.depth and joined and joined[-1].blame == stretch.blame:
            depth = min(joined[-1].depth, stretch.depth)
            joined[-1] = _Stretch(depth, joined[-1].looks + stretch.looks)
        else:
            joined.append(stretch)
    return joined


def _length(looks: list[_Look]) -> int:
    return sum(look.to_ns - look.from_ns for look in looks)


def _block(
    turn: Blocked,
    stretch: _Stretch,
    cause: str,
    territory: Territory,
    thread: str,
    history: History,
    victims: tuple[event.Victim, ...],
    victims_total: int,
) -> Block:
    frame, sample = _blamed(stretch)
    stack = sample.stack if sample.count else ()
    call = leaf(stack, frame, territory)
    culprits: tuple[Culprit, ...] = ()
    if stretch.depth == 0 and len({look.step for look in stretch.looks}) > 1:
        cause, culprits = "many", _shares(stretch, thread)
    elif imports(stack):
        # The stack ends where the import was asked for; what ran inside it is the culprit.
        cause, call = "import", f"import {imported(stack)}".strip()
        culprits = (Culprit(thread, 1.0, stack),)
        stack = stack[: len(stack) - stack[::-1].index(frame)]
    return Block(
        at_s=seconds(history.since_start_ns(stretch.looks[0].from_ns)),
        held_ms=ms(stretch.held_ns),
        count=1,
        cause=cause,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        where=f"{territory.short(frame.file)}:{frame.line}" if frame.file else "",
        leaf=call,
        task=sample.task,
        coroutine=sample.coroutine,
        span=sample.span,
        trace_id=sample.trace_id,
        span_id=sample.span_id,
        labels={},
        stack=stack,
        own=tuple(index for index, line in enumerate(stack) if territory.is_application(line)),
        samples=sum(look.sample.count for look in stretch.looks),
        culprits=culprits,
        victims=tuple(
            Victim(v.label, v.span, v.trace_id, ms(v.delayed_ns))
            for v in sorted(victims, key=lambda victim: -victim.delayed_ns)
        ),
        victims_total=victims_total,
        fault=next((look.sample.fault for look in stretch.looks if look.sample.fault), None),
        ended=turn.ended,
        pid=turn.pid,
        loop=turn.loop,
    )


def _blamed(stretch: _Stretch) -> tuple[Frame, Sample]:
    """The function seen most at the stretch's depth, on its line seen most, and a look at that."""
    functions: Counter[tuple[str, str]] = Counter()
    lines: Counter[Frame] = Counter()
    for look in stretch.looks:
        frame = _frame(look, stretch.depth)
        functions[frame.file, frame.function] += look.sample.count
        lines[frame] += look.sample.count
    function = max(functions, key=lambda key: functions[key])
    blamed = max(
        (line for line in lines if (line.file, line.function) == function), key=lambda key: lines[key]
    )
    seen = (look.sample for look in stretch.looks if _frame(look, stretch.depth) == blamed)
    return blamed, max(seen, key=lambda sample: sample.count)


def _frame(look: _Look, depth: int) -> Frame:
    return look.path[min(depth, len(look.path)) - 1]  # depth 0: the innermost


def _shares(stretch: _Stretch, thread: str) -> tuple[Culprit, ...]:
    """The functions that were seen most among many short callbacks, each with its share of the time."""
    spent: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], _Look] = {}
    for look in stretch.looks:
        key = look.path[-1].file, look.path[-1].function
        spent[key] += look.to_ns - look.from_ns
        example.setdefault(key, look)
    whole = stretch.held_ns or 1
    return tuple(
        Culprit(thread, round(time_ns / whole, 3), example[key].sample.stack)
        for key, time_ns in spent.most_common(CULPRITS)
    )


def _cause_by_cpu(turn: Blocked, *, waited_ns: int) -> str:
    """The cause of what the samples do not show to be waiting, by where the thread's other time went."""
    if not turn.watched_ns or turn.cpu_ns is None or turn.queued_ns is None:
        return "call"
    other_ns = max(turn.watched_ns - waited_ns, 1)
    if (turn.cpu_ns + turn.queued_ns) / other_ns < ON_CPU_SHARE:
        return "call"
    starved = turn.queued_ns > turn.cpu_ns and turn.cpu_ns / other_ns < STARVED_SHARE
    return "descheduled" if starved else "cpu"


def _victims(turn: Blocked, stretch: _Stretch) -> tuple[event.Victim, ...]:
    """Those who were due before the block was over, each with the part of the waiting that was in it."""
    began_ns, over_ns = stretch.looks[0].from_ns, stretch.looks[-1].to_ns
    turn_over_ns = turn.at_ns + turn.held_ns
    parts = ((v, over_ns - max(began_ns, turn_over_ns - v.delayed_ns)) for v in turn.victims)
    return tuple(replace(victim, delayed_ns=part_ns) for victim, part_ns in parts if part_ns > 0)
