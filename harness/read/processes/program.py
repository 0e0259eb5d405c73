"""The programs that the processes of a run ran, one after the other where they called `exec`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...record.event import (
    ProbeFailed,
    ProcessExamined,
    ProcessFound,
    ProcessGone,
    RunEnded,
    TargetStarted,
    WriterOpened,
)
from ..history import History, Loop, Mark

# A copy of a program with a probe that has no mark, and is seen for less than this, was about to call `exec`.
_PASSING_NS = 1_000_000_000


@dataclass(slots=True)
class Program:
    """One process from its start, or its latest `exec`, to its end, or the next one."""

    pid: int
    parent: int | None
    command: tuple[str, ...]
    since_ns: int  # the earliest instant at which it can have begun
    found: ProcessFound | None = None  # null if it was too short to be seen from outside
    until_ns: int | None = None  # when its process had ended, or ran another program
    gone: ProcessGone | None = None
    replaced: bool = False  # it ended by `exec`
    on_the_way: bool = False  # it was seen between `fork` and `exec`
    examined: ProcessExamined | None = None
    marks: list[Mark] = field(default_factory=list)
    opened: WriterOpened | None = None  # the probe's record of it
    failure: str = ""  # why the probe may have missed its loops
    loops: list[Loop] = field(default_factory=list)
    forked_from: Program | None = None  # it is a copy of that one

    @property
    def is_entered(self) -> bool:
        """Whether the probe was in it."""
        entered = any(mark.facts.keys().isdisjoint(("left_out", "barred")) for mark in self.marks)
        return bool(entered or self.loops or self.opened)

    @property
    def is_timed(self) -> bool:
        """Whether the turns of a loop in it were timed."""
        return any(loop.page is not None and loop.started.mechanism != "unseen" for loop in self.loops)

    def fact(self, key: str) -> list[str]:
        """All that the probe noted under *key*, as in `record/process/mark.py`."""
        return [value for mark in self.marks for value in mark.facts.get(key, ())]

    @property
    def lived_ns(self) -> int | None:
        """How long it was seen, `None` if its end is unknown."""
        if self.found is None or self.until_ns is None:
            return None
        return self.until_ns - self.found.at_ns


def programs(history: History) -> tuple[Program, ...]:
    """All programs of the run that are known, in the order of their start."""
    made: dict[int, list[Program]] = defaultdict(list)
    for one in _found(history):
        made[one.pid].append(one)
    for started in history.of(TargetStarted):
        # It may have been too short to be seen with its own command.
        for one in made[started.pid][:1]:
            one.command = one.command or started.command
    for mark in history.marks:
        at = _at(made, mark.pid, mark.at_ns, mark.command, in_fork="fork" in mark.facts)
        at.marks.append(mark)
        at.command = at.command or mark.command
    for loop in history.loops:
        _at(made, loop.started.pid, loop.started.at_ns, ()).loops.append(loop)
    failure = next((f.error for f in history.of(ProbeFailed) if f.where == "loops"), "")
    for opened in history.of(WriterOpened):
        if opened.role == "target":
            at = _at(made, opened.pid, opened.at_ns, opened.command)
            at.opened = opened
            at.failure = "" if at.loops else failure
            at.command = at.command or opened.command
            at.parent = opened.parent_pid if at.parent is None else at.parent
    return tuple(sorted(_worth_telling(made), key=lambda one: (one.since_ns, one.pid)))


def _found(history: History) -> Iterator[Program]:
    """The programs that were seen from outside."""
    seen: dict[tuple[int, int], list[ProcessFound]] = defaultdict(list)
    for event in history.of(ProcessFound):
        seen[event.pid, event.began_ns].append(event)
    gone = {(event.pid, event.began_ns): event for event in history.of(ProcessGone)}
    examined: dict[tuple[int, int], list[ProcessExamined]] = defaultdict(list)
    for each in history.of(ProcessExamined):
        examined[each.pid, each.began_ns].append(each)
    for who, runs in seen.items():
        end = gone.get(who)
        for place, found in enumerate(runs):
            following = runs[place + 1] if place + 1 < len(runs) else None
            until_ns = following.at_ns if following else end.at_ns if end else None
            yield Program(
                pid=found.pid,
                parent=runs[0].parent,
                command=found.command,
                since_ns=found.since_ns or found.began_ns,
                found=found,
                until_ns=until_ns,
                gone=None if following else end,
                replaced=following is not None,
                on_the_way=following is not None and (found.forked or not found.command),
                examined=_latest(examined[who], found.at_ns, until_ns),
            )


def _latest(
    examined: Iterable[ProcessExamined], since_ns: int, until_ns: int | None
) -> ProcessExamined | None:
    in_time = [e for e in examined if e.at_ns >= since_ns and (until_ns is None or e.at_ns <= until_ns)]
    return in_time[-1] if in_time else None


def _at(
    made: dict[int, list[Program]], pid: int, at_ns: int, command: tuple[str, ...], *, in_fork: bool = False
) -> Program:
    """The program of that process at an instant; a new one if none was seen.

    *in_fork*: the process had not called `exec` at that instant.
    """
    in_time = [
        one
        for one in made[pid]
        if one.since_ns <= at_ns
        and (one.until_ns is None or at_ns <= one.until_ns)
        and not (in_fork and one.found is not None and not one.found.forked)
    ]
    # Between the last look at one program and the first at the next, the command decides.
    same = [one for one in in_time if command and one.command[:2] == command[:2]]
    if chosen := same or in_time:
        return chosen[-1]
    # What was seen of the process comes later, after an `exec`.
    is_replaced = any(one.since_ns > at_ns or in_fork for one in made[pid])
    until_ns = at_ns if is_replaced else None
    made[pid].append(one := Program(pid, None, command, at_ns, until_ns=until_ns, replaced=is_replaced))
    return one


def _worth_telling(made: dict[int, list[Program]]) -> Iterator[Program]:
    """Without copies that never ran a program of their own, and programs on the way to another."""
    for of_pid in made.values():
        for one in of_pid:
            is_fork = one.found is not None and one.found.forked
            if is_fork and one.found is not None:
                before = [p for p in made.get(one.found.parent, ()) if p.since_ns <= one.since_ns]
                one.forked_from = before[-1] if before else None
            if one.is_entered and not (one.replaced and not one.loops):
                yield one
            elif not one.is_entered:
                passed = one.on_the_way or (one.replaced and not (one.examined and one.examined.mapped))
                if not passed and not (is_fork and not _may_matter(one)):
                    yield one


def _may_matter(copy: Program) -> bool:
    """Whether a copy without a mark may run a loop of its own."""
    parent, lived_ns = copy.forked_from, copy.lived_ns
    if copy.examined is None:
        return False
    if copy.examined.barred or (parent is not None and not parent.is_entered):
        return True
    return lived_ns is None or lived_ns > _PASSING_NS


def has_ended(history: History, program: Program) -> bool:
    """Whether the process ended before the run; true as well if it was not followed."""
    return program.found is None or program.gone is not None or program.replaced or not history.of(RunEnded)
