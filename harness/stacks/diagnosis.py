"""The blocks of one late turn, each with the line to blame and why: one answer for report and console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..record.observation import CADENCE, Blocked, Cadence, Frame, Sample
from .cause import Cause, collected_ns, suspects
from .cause import cause as cause_of
from .interval import Interval, StackObservation, blamed, intervals
from .ownership import CodeOwnership
from .starvation import ProcessorLoss, queued
from .turn_stack import UNNAMED, TurnStack
from .wait_kind import WaitKind, waits_for

CULPRITS = 5


@dataclass(frozen=True, slots=True)
class Culprit:
    """A thread or a kind of short callback, with its share in a block without a single frame to blame."""

    thread: str
    share: float
    stack: tuple[Frame, ...] = field(repr=False)
    queued: int = 0  # for short callbacks: about how many of this kind were ready at the first sample


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One block of a late turn."""

    interval: Interval = field(repr=False)
    cause: Cause
    waits_for: WaitKind  # of a call; `WaitKind.UNKNOWN` for every other cause
    frame: Frame  # to blame; its file is "" when no line is known
    sample: Sample = field(repr=False)  # the one that shows this frame best
    stack: tuple[Frame, ...] = field(repr=False)  # outermost first; empty without a sample
    library_calls: tuple[str, ...]  # in that stack, as in `TurnStack`
    # The library call, import or garbage collection in progress, or why there was no processor; "" for none.
    leaf: str
    library: str  # the innermost frame of an installed package, with its place; "" for none
    culprits: tuple[Culprit, ...]
    collected_ns: int = 0  # the part of its time that was garbage collection

    @property
    def at_ns(self) -> int:
        """When it began."""
        return self.interval.looks[0].from_ns

    @property
    def held_ns(self) -> int:
        return self.interval.held_ns

    @property
    def samples(self) -> int:
        return self.interval.samples

    @property
    def lazy(self) -> str:
        """The name whose first use began the import that is to blame; "" for none."""
        return self.sample.lazy if self.cause is Cause.IMPORT else ""

    @property
    def fault(self) -> str | None:
        """The id of the injected fault that was active in it."""
        return next((look.sample.fault for look in self.interval.looks if look.sample.fault), None)


def diagnose(
    turn: Blocked,
    ownership: CodeOwnership,
    *,
    limit_ns: int,
    cadence: Cadence = CADENCE,
    thread: str = "",
    lost: ProcessorLoss | None = None,
) -> Iterator[Diagnosis]:
    """The blocks of *turn*, oldest first; at least one.

    *limit_ns* and *cadence* are those of the loop, *thread* is the name of its thread. *lost* is what the
    turn lost of the processor, if more is known of that than its own figures.
    """
    lost = lost or queued(turn)
    found = intervals(turn, ownership, limit_ns, cadence)
    for interval in found:
        cause = cause_of(turn, interval, beside=found, limit_ns=limit_ns, lost=lost)
        yield _diagnosis(turn, interval, cause, ownership, thread, lost)


def _diagnosis(
    turn: Blocked,
    interval: Interval,
    cause: Cause,
    ownership: CodeOwnership,
    thread: str,
    lost: ProcessorLoss,
) -> Diagnosis:
    frame, look = blamed(interval)
    stack = look.stack if look.sample.count else TurnStack((), ownership)
    if not frame.file and look.sample.created:
        # A callback in C has no line; the one that scheduled it comes next.
        own = [made for made in look.sample.created if ownership.is_application(made)]
        frame = frame._replace(file=own[-1].file, line=own[-1].line) if own else frame
    shown = stack.whole
    leaf, library = stack.leaf(frame), stack.library(frame)
    culprits: tuple[Culprit, ...] = ()
    many = interval.depth == 0 and len({look.step for look in interval.looks}) > 1
    # Callbacks that were only interrupted are no reason.
    if many and cause is not Cause.DESCHEDULED:
        cause, culprits = Cause.MANY, _shares(turn, interval, thread)
    elif stack.imports:
        # The stack ends at the import statement; what ran inside it is the culprit.
        cause, leaf = Cause.IMPORT, f"import {stack.imported}".strip()
        if lazy := look.sample.lazy:
            leaf += f" at the first use of {lazy}"
        culprits = (Culprit(thread, 1.0, shown),)
        shown = shown[: len(shown) - shown[::-1].index(frame)]
        stack = TurnStack(shown, ownership)
        library = stack.library(frame)
    elif cause is Cause.GIL:
        culprits = _holders(turn)
        if culprits:
            holder = TurnStack(culprits[0].stack, ownership)
            frame, leaf = holder.blamed or frame, ""
            library = holder.library(frame)
    elif cause is Cause.DESCHEDULED:
        leaf = lost.why
    elif cause is Cause.CPU and interval.asleep:
        frame = UNNAMED
    elif cause is Cause.GC:
        worst = max(turn.pauses, key=lambda pause: pause.held_ns)
        leaf = f"collection of generation {worst.generation}"
    return Diagnosis(
        interval=interval,
        cause=cause,
        waits_for=waits_for(interval) if cause is Cause.CALL else WaitKind.UNKNOWN,
        frame=frame,
        sample=look.sample,
        stack=shown,
        library_calls=stack.library_calls,
        leaf=leaf,
        library=library,
        culprits=culprits,
        collected_ns=min(collected_ns(turn, interval), interval.held_ns),
    )


def _holders(turn: Blocked) -> tuple[Culprit, ...]:
    """The threads that may have held the GIL, each with its share of the CPU time they used together."""
    threads = suspects(turn)[:CULPRITS]
    used_ns = sum(other.used_ns for other in threads)
    return tuple(
        Culprit(other.thread, round(other.used_ns / used_ns if used_ns else 1 / len(threads), 3), other.stack)
        for other in threads
    )


def _shares(turn: Blocked, interval: Interval, thread: str) -> tuple[Culprit, ...]:
    """The functions that took most time among many short callbacks, each with its share."""
    spent: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], StackObservation] = {}
    for look in interval.looks:
        key = look.path[-1].file, look.path[-1].function
        spent[key] += look.to_ns - look.from_ns
        example.setdefault(key, look)
    whole = interval.held_ns or 1
    queued = {kind.label: kind.count for kind in turn.queue}
    shares = ((example[key], time_ns / whole) for key, time_ns in spent.most_common(CULPRITS))
    return tuple(
        # The outermost frame is the callback's or the task's own function: the queue has its name.
        Culprit(
            thread,
            round(share, 3),
            look.sample.stack,
            queued.get((look.stack.frames or look.path)[0].function, 0),
        )
        for look, share in shares
    )
