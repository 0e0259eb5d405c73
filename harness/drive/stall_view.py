"""A process that does not answer, seen from outside: code that holds the GIL lets none of its threads run.

The counters of its loops are in shared memory and show how long a loop has been late; a look at the process's
memory shows which thread has the GIL, and where it is. Where this user may not read that memory, the runner,
its parent process, may have done so and recorded it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

from ..record import page
from ..record.event import Frame, ThreadDump, ThreadsDumped
from ..record.process.console_endpoint import ConsoleEndpoint
from ..record.reader import Follower
from ..record.run_folder import RunFolder
from ..stacks.ownership import CodeOwnership
from ..stacks.turn_stack import TurnStack
from .process.cgroup import why_stopped
from .profilers.look import look

FRAMES = 8


@dataclass(frozen=True, slots=True)
class LateLoop:
    """A loop whose turn has not ended in time."""

    number: int
    since_ms: float
    native_id: int  # of its thread


@dataclass(frozen=True, slots=True)
class StallView:
    """What is known about a process that does not answer."""

    card: ConsoleEndpoint
    silent_s: float
    stopped: str  # what stops it as a whole, "" for nothing
    late: tuple[LateLoop, ...]
    holder: ThreadDump | None  # the thread that has the GIL, else the late loop's own thread
    why_not: str  # why there is no holder

    def lines(self) -> Iterator[str]:
        """The view as text."""
        yield f"answered from outside: the process did not answer for {self.silent_s:.1f} s"
        if self.stopped:
            yield f"process {self.card.pid} is {self.stopped}"
        for loop in self.late:
            yield f"loop {loop.number} has been late for {loop.since_ms / 1e3:.1f} s"
        if self.holder is not None:
            has = "has the GIL" if self.holder.has_gil else "runs, without the GIL"
            yield f"{self.holder.name or 'a thread'} {has}: {_place(self.blamed())}"
            yield from (f"    {_place(frame)}" for frame in self.holder.stack[-FRAMES:])
        elif self.why_not:
            yield f"the line it is in is unknown: {self.why_not}"

    def document(self) -> dict[str, Any]:
        """The view as the JSON document of ``--json``."""
        blamed = self.blamed()
        return {
            "from_outside": True,
            "silent_s": self.silent_s,
            "pid": self.card.pid,
            "stopped": bool(self.stopped),
            "loops": [{"loop": late.number, "late_ms": round(late.since_ms, 1)} for late in self.late],
            "holder": None
            if self.holder is None or blamed is None
            else {
                "thread": self.holder.name,
                "has_gil": self.holder.has_gil,
                **blamed._asdict(),
                "stack": [frame._asdict() for frame in self.holder.stack],
            },
            "why_not": self.why_not,
        }

    def blamed(self) -> Frame | None:
        """The frame of the holder's stack that a report would blame; `None` without a holder."""
        ownership = CodeOwnership(self.card.application, self.card.libraries)
        return TurnStack(self.holder.stack, ownership).blamed if self.holder else None


def observe(card: ConsoleEndpoint, *, silent_s: float) -> StallView:
    """Read from outside the state of a process that has not answered for *silent_s* seconds."""
    late = tuple(_late_loops(card))
    threads: tuple[ThreadDump, ...] = ()
    why_not = ""
    try:
        threads = look(card.pid).threads
    except PermissionError as exc:
        why_not = str(exc)
        threads = _dumped_by_runner(card, late)
    holder = _holder(threads, late)
    return StallView(card, silent_s, why_stopped(card.pid), late, holder, "" if holder else why_not)


def _late_loops(card: ConsoleEndpoint) -> Iterator[LateLoop]:
    for path in sorted(Path(card.pages).glob(f"{card.pid}-*.page")):
        reading = page.read(path)
        if reading is None or reading.stopped_ns:
            continue
        began_ns = reading.turn_ns or reading.due_ns
        late_ns = monotonic_ns() - began_ns
        if began_ns and late_ns > page.overdue_after_ns(reading.limit_ns):
            yield LateLoop(int(path.stem.rpartition("-")[2]), late_ns / 1e6, reading.native_thread_id)


def _holder(threads: tuple[ThreadDump, ...], late: tuple[LateLoop, ...]) -> ThreadDump | None:
    late_ids = {loop.native_id for loop in late}
    by_gil = (thread for thread in threads if thread.has_gil)
    by_loop = (thread for thread in threads if thread.native_id in late_ids)
    return next(by_gil, None) or next(by_loop, None)


def _dumped_by_runner(card: ConsoleEndpoint, late: tuple[LateLoop, ...]) -> tuple[ThreadDump, ...]:
    """The threads as the runner dumped them during the same stall."""
    if not (card.folder and late):
        return ()
    events = Follower(RunFolder(Path(card.folder)).events, "runner-*.jsonl").new_events()
    began_ns = monotonic_ns() - max(loop.since_ms for loop in late) * 1e6 - page.GRACE_NS
    seen = [event for _, event in events if isinstance(event, ThreadsDumped) and event.pid == card.pid]
    return seen[-1].threads if seen and seen[-1].at_ns >= began_ns else ()


def _place(frame: Frame | None) -> str:
    return f"{frame.file}:{frame.line} {frame.function}" if frame is not None else "nowhere in Python"
