"""The hangs: turns that were told while they lasted, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ...record.event import Frame, HungProcessEnded, LoopHung, LoopReturned
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..blocks.block import Block
from ..history import History
from ..units import ms, seconds

# The probe and the runner may see the beginning of the same turn differently by this.
SAME_NS = 100_000_000


class HangEnd(StrEnum):
    """How a hang ended."""

    RETURNED = "returned"  # the loop went on
    KILLED = "killed"  # `--hang-exit` ended the process
    DIED = "died"  # the process ended in it for another reason
    UNKNOWN = "unknown"  # it still lasted when the record ended


@dataclass(frozen=True, slots=True)
class HungTasks:
    """The pending tasks of one coroutine that waited at one line."""

    coroutine: str
    file: str  # where it waits; "" if it is not written in Python
    line: int
    where: str  # the same, short: "shop.py:12"
    count: int
    tasks: tuple[str, ...] = field(repr=False)  # their names
    stack: tuple[Frame, ...] = field(repr=False)  # outermost first


@dataclass(frozen=True, slots=True)
class HungThread:
    """One thread of the process."""

    thread: str
    daemon: bool | None  # null if it was seen from outside
    where: str  # the line of the program's own code in it: "shop.py:12 load"
    stack: tuple[Frame, ...] = field(repr=False)  # outermost first


@dataclass(frozen=True, slots=True)
class HangExit:
    """What was kept of a process before `--hang-exit` ended it."""

    signal: str
    by: str  # "probe", or "runner" if the process could not do it
    limit_s: float
    pending: int | None  # tasks; null where they could not be listed
    tasks: tuple[HungTasks, ...]
    threads: tuple[HungThread, ...]
    error: str  # why something of it is missing; "" if nothing is


@dataclass(frozen=True, slots=True)
class Hang:
    """One turn that was told while it lasted."""

    pid: int
    loop: int
    at_s: float
    held_ms: float  # at least, unless it returned
    told: int  # how often
    told_after_ms: float | None  # the first time; null if it was only ended
    seen_by: str  # "probe", "py-spy", "profiling.sampling", "kernel"
    end: HangEnd
    function: str  # as in the longest block of that turn; "" without one
    file: str
    line: int
    where: str
    task: str
    span: str
    exit: HangExit | None  # null unless it was killed


@dataclass(slots=True)
class _ToldTurn:
    pid: int
    loop: int
    began_ns: int
    until_ns: int
    told: list[LoopHung] = field(default_factory=list)
    end: HungProcessEnded | None = None
    returned_ns: int = 0

    def has(self, event: LoopHung | LoopReturned | HungProcessEnded) -> bool:
        same = event.pid == self.pid and event.loop == self.loop
        return same and event.began_ns <= self.until_ns + SAME_NS and event.at_ns >= self.began_ns


def hangs(history: History, blocks: Iterable[Block]) -> tuple[Hang, ...]:
    """Every hang, oldest first; *blocks* are those of the report."""
    return tuple(_hang(turn, history, tuple(blocks)) for turn in _turns(history))


def _turns(history: History) -> list[_ToldTurn]:
    turns: list[_ToldTurn] = []
    ends = history.of(HungProcessEnded)
    seen: list[LoopHung | HungProcessEnded] = [*history.of(LoopHung), *ends]
    for event in sorted(seen, key=lambda event: event.at_ns):
        turn = next((turn for turn in turns if turn.has(event)), None)
        if turn is None:
            turns.append(turn := _ToldTurn(event.pid, event.loop, event.began_ns, event.at_ns))
        turn.began_ns, turn.until_ns = min(turn.began_ns, event.began_ns), event.at_ns
        if isinstance(event, LoopHung):
            turn.told.append(event)
        else:
            turn.end = event
    for back in history.of(LoopReturned):
        turn = next((turn for turn in turns if turn.has(back)), None)
        if turn is not None and not turn.returned_ns:
            turn.returned_ns = turn.began_ns + back.held_ns
    return turns


def _hang(turn: _ToldTurn, history: History, blocks: tuple[Block, ...]) -> Hang:
    until_ns = turn.returned_ns or turn.until_ns
    at_s, held_ms = seconds(history.since_start_ns(turn.began_ns)), ms(until_ns - turn.began_ns)
    inside = (
        block
        for block in blocks
        if (block.pid, block.loop) == (turn.pid, turn.loop)
        and block.at_s < at_s + held_ms / 1e3
        and at_s < block.at_s + block.held_ms / 1e3
    )
    block = max(inside, key=lambda block: block.held_ms, default=None)
    gone = {(loop.started.pid, loop.started.loop) for loop in history.loops if loop.is_gone}
    end = HangEnd.UNKNOWN
    if turn.end is not None:
        end = HangEnd.KILLED
    elif turn.returned_ns or (block is not None and block.ended):
        end = HangEnd.RETURNED
    elif (turn.pid, turn.loop) in gone:
        end = HangEnd.DIED
    return Hang(
        pid=turn.pid,
        loop=turn.loop,
        at_s=at_s,
        held_ms=held_ms,
        told=len(turn.told),
        told_after_ms=ms(turn.told[0].held_ns) if turn.told else None,
        seen_by=turn.told[0].seen_by if turn.told else turn.end.by if turn.end else "",
        end=end,
        function=block.function if block else "",
        file=block.file if block else "",
        line=block.line if block else 0,
        where=block.where if block else "",
        task=block.task if block else "",
        span=block.span if block else "",
        exit=_exit(turn.end, history.ownership(turn.pid)) if turn.end is not None else None,
    )


def _exit(end: HungProcessEnded, ownership: CodeOwnership) -> HangExit:
    return HangExit(
        signal=end.signal,
        by=end.by,
        limit_s=seconds(end.limit_ns),
        pending=end.pending,
        tasks=tuple(_tasks(end, ownership)),
        threads=tuple(_threads(end, ownership)),
        error=end.error,
    )


def _tasks(end: HungProcessEnded, ownership: CodeOwnership) -> Iterator[HungTasks]:
    for group in end.tasks:
        of = group.coroutine
        own = [frame for frame in of.stack if ownership.is_application(frame)]
        file, line = (own[-1].file, own[-1].line) if own else (of.file, of.line)
        where = f"{ownership.short(file)}:{line}" if file else ""
        yield HungTasks(of.name, file, line, where, group.count, group.tasks, of.stack)


def _threads(end: HungProcessEnded, ownership: CodeOwnership) -> Iterator[HungThread]:
    for thread in end.threads:
        if thread.stack and ownership.is_harness(thread.stack[0]):
            continue
        where = ownership.place(TurnStack(thread.stack, ownership).blamed)
        yield HungThread(thread.thread, thread.daemon, where, thread.stack)
