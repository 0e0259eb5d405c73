"""Adds the thread dumps from outside to what the probe recorded of a late turn from inside.

While code holds the GIL the probe records nothing, and afterwards only the line where the GIL was released. A
dump from outside names the thread that had the GIL, and its line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ...record.event import (
    Blocked,
    Frame,
    LoopSilent,
    OtherThread,
    Sample,
    StepCandidate,
    ThreadDump,
    ThreadsDumped,
)
from ...record.value import as_dict, replace
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import UNNAMED, TurnStack, calls_step
from ..history import History
from .late_turn import last_turn_ns, silences


def only_seen_outside(history: History, recorded: Iterable[Blocked]) -> Iterator[Blocked]:
    """The turns in which processes ended while code held the GIL, so that the probe could not record them.

    *recorded* are those that it did record.
    """
    recorded = tuple(recorded)
    for loop in history.loops:
        of = loop.started.pid, loop.started.loop
        if not (held_ns := last_turn_ns(loop, history)):
            continue
        began_ns = loop.ended_ns - held_ns
        is_known = any((t.pid, t.loop) == of and t.at_ns + t.held_ns > began_ns for t in recorded)
        if held_ns < loop.started.limit_ns or is_known:
            continue
        was_due = loop.page is not None and not loop.page.turn_ns
        turn = Blocked(
            at_ns=began_ns,
            held_ns=held_ns,
            ended=False,
            pid=of[0],
            loop=of[1],
            samples=(),
            victims=(),
            victims_total=0,
            woke_ns=loop.ended_ns if was_due else 0,
        )
        yield _with_silence(turn, silences(loop, history), of_holder=not _has_holder(turn, history))


def _has_holder(turn: Blocked, history: History) -> bool:
    """Whether a dump of this turn names the thread that had the GIL."""
    within, ownership = _within(turn, history.of(ThreadsDumped)), history.ownership(turn.pid)
    threads = [thread for look in within for thread in look.threads if thread.has_gil and thread.stack]
    return any(not ownership.is_harness(thread.stack[0]) for thread in threads)


def _with_silence(turn: Blocked, silences: list[LoopSilent], *, of_holder: bool) -> Blocked:
    """The turn with what the kernel told of the loop's thread; *of_holder*: that is all there is."""
    if silences and of_holder:
        at_ns, frame = silences[0].at_ns, Frame("", 0, "<code that holds the GIL>")
        who = Sample(at_ns, at_ns, 0, (frame,), task="", coroutine="", span="", trace_id="", span_id="")
        turn = replace(turn, samples=(who,))
    known = [(look.at_ns, look.cpu_ns) for look in silences if look.cpu_ns is not None]
    if len(known) < 2:
        return turn
    (first_ns, first_cpu_ns), (last_ns, last_cpu_ns) = known[0], known[-1]
    return replace(turn, whole_cpu_ns=last_cpu_ns - first_cpu_ns, whole_ns=max(1, last_ns - first_ns))


def with_outside_samples(turn: Blocked, seen: Iterable[ThreadsDumped], ownership: CodeOwnership) -> Blocked:
    """The turn with the dumps from outside: as samples if the loop's thread had the GIL, else as others."""
    within = _within(turn, seen)
    own: list[Sample] = []
    holders: Counter[str] = Counter()
    threads: dict[str, ThreadDump] = {}
    for look in within:
        for thread in look.threads:
            if not thread.stack:
                continue  # it changed during the dump, or had not begun: there is no line to name
            if thread.has_gil and thread.native_id == look.native_id:
                own.append(_sample(turn, look, thread, ownership))
            elif thread.has_gil and not ownership.is_harness(thread.stack[0]):
                # A thread of the probe has just got the GIL, to sample the late loop: the thread that kept
                # the loop waiting had already released it.
                holders[thread.name] += 1
                threads.setdefault(thread.name, thread)
    if holders:
        # Observed holders of the GIL replace the suspects.
        share_ns = turn.held_ns // sum(holders.values())
        others = tuple(
            OtherThread(name, threads[name].stack, cpu_ns=0, used_ns=share_ns * times, syscall="running")
            for name, times in holders.most_common()
        )
        turn = replace(turn, others=others)
    elif within:
        # A thread that held the GIL long enough to block the loop would be in a dump.
        turn = replace(turn, others=())
    samples = sorted((*own, *turn.samples), key=lambda sample: sample.first_ns) if own else turn.samples
    return replace(turn, samples=tuple(samples))


def _within(turn: Blocked, seen: Iterable[ThreadsDumped]) -> list[ThreadsDumped]:
    """The dumps of this turn.

    A dump that finished after the turn may show what ran next, because py-spy takes tens of milliseconds to
    read the stacks. Such dumps are used only if there is nothing else.
    """
    of, end_ns = (turn.pid, turn.loop), turn.at_ns + turn.held_ns
    begun = [look for look in seen if (look.pid, look.loop) == of and turn.at_ns <= look.at_ns <= end_ns]
    sure = [look for look in begun if look.over_ns <= end_ns or not turn.ended]
    return sure if sure or turn.samples else begun


def _sample(turn: Blocked, look: ThreadsDumped, thread: ThreadDump, ownership: CodeOwnership) -> Sample:
    """A dump as a sample that lasts until the next sample from inside and has its task.

    Without one, it has the task whose coroutine's function the stack begins with, if there is only one.
    """
    after = next((s for s in turn.samples if s.first_ns >= look.at_ns), None)
    who = after or Sample(0, 0, 0, (), task="", coroutine="", span="", trace_id="", span_id="")
    if not who.task and (suspect := _suspect(turn, TurnStack(thread.stack, ownership))) is not None:
        who = replace(who, **as_dict(suspect))
    return replace(
        who,
        first_ns=look.at_ns,
        last_ns=after.first_ns if after else look.at_ns,
        count=1,
        stack=_with_compiled_code(thread.stack, after),
        syscall="running",
        entering=False,
    )


def _with_compiled_code(stack: tuple[Frame, ...], after: Sample | None) -> tuple[Frame, ...]:
    """The stack with the compiled code at its inner end, which py-spy does not see and the probe names.

    A stack that ends in asyncio's call of a callback is in one; the thread had the GIL, so it did not wait.
    """
    known = after.stack if after is not None else ()
    if (
        len(known) > len(stack)
        and not known[len(stack)].line
        and known[len(stack) - 1].line == stack[-1].line
    ):
        inside, outside = ([(f.file, f.function.rpartition(".")[2]) for f in s] for s in (known, stack))
        if inside[: len(outside)] == outside:
            return (*stack, known[len(stack)])
    return (*stack, UNNAMED) if calls_step(stack[-1]) else stack


def _suspect(turn: Blocked, stack: TurnStack) -> StepCandidate | None:
    # Dumps from outside have bare function names.
    begins_with = stack.frames[0].function.rpartition(".")[2] if stack.frames else ""
    fitting = [who for who in turn.candidates if who.coroutine.rpartition(".")[2] == begins_with]
    return fitting[0] if len(fitting) == 1 else None
