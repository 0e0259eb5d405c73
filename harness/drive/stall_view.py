"""A process seen from outside, when it does not answer: code that holds the GIL lets none of its threads run.

The counters of its loops lie in shared memory, and tell since when one is late; py-spy reads from the
process's memory which thread has the GIL, and where. Where that is not permitted, the runner may have seen
it: it is the parent, and writes into the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

from ..record import page
from ..record.console_endpoint import ConsoleEndpoint
from ..record.event import Frame, ThreadDump, ThreadsDumped
from ..record.reader import Follower
from ..record.run import RunFolder
from .process.cgroup import is_stopped
from .profilers import pyspy

# A loop's latest sign of life may be so old, and the loop well.
GRACE_NS = 50_000_000
FRAMES = 8


@dataclass(frozen=True, slots=True)
class LateLoop:
    """A loop that has not come round."""

    number: int
    since_ms: float
    native_id: int  # of its thread


@dataclass(frozen=True, slots=True)
class StallView:
    """What is known of a process that does not answer."""

    card: ConsoleEndpoint
    silent_s: float
    stopped: bool
    late: tuple[LateLoop, ...]
    holder: ThreadDump | None  # who has the GIL; the late loop's own thread when nobody has it
    why_not: str  # there is no holder

    def lines(self) -> Iterator[str]:
        """In words."""
        yield f"answered from outside: the process did not answer for {self.silent_s:.1f} s"
        if self.stopped:
            yield f"process {self.card.pid} is stopped by a signal; kill -CONT {self.card.pid} lets it go on"
        for loop in self.late:
            yield f"loop {loop.number} has been late for {loop.since_ms / 1e3:.1f} s"
        if self.holder is not None:
            has = "has the GIL" if self.holder.has_gil else "runs, without the GIL"
            yield f"{self.holder.name or 'a thread'} {has}: {_place(self.blamed())}"
            yield from (f"    {_place(frame)}" for frame in self.holder.stack[-FRAMES:])
        elif self.why_not:
            yield f"which line it is in is not known: {self.why_not}"

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        blamed = self.blamed()
        return {
            "from_outside": True,
            "silent_s": self.silent_s,
            "pid": self.card.pid,
            "stopped": self.stopped,
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
        """The holder's innermost frame of the program's own code; else of no library; else the innermost."""
        stack = list(reversed(self.holder.stack)) if self.holder else []
        own = (frame for frame in stack if self._is_own(frame))
        others = (f for f in stack if not f.file.startswith((*self.card.libraries, "<frozen ")))
        return next(own, None) or next(others, None) or next(iter(stack), None)

    def _is_own(self, frame: Frame) -> bool:
        # The more specific one: a virtual environment inside of the program's folder is none of its code.
        depth, library = (
            max((len(prefix) for prefix in prefixes if frame.file.startswith(prefix)), default=0)
            for prefixes in (self.card.application, self.card.libraries)
        )
        return depth > library


def look(card: ConsoleEndpoint, *, silent_s: float) -> StallView:
    """Look at a process that has not answered for so long."""
    late = tuple(_late_loops(card))
    threads: tuple[ThreadDump, ...] = ()
    why_not = ""
    try:
        threads = pyspy.dump(card.pid)
    except PermissionError as exc:
        why_not = str(exc)
        threads = _witnessed(card, late)
    holder = _holder(threads, late)
    return StallView(card, silent_s, is_stopped(card.pid), late, holder, "" if holder else why_not)


def _late_loops(card: ConsoleEndpoint) -> Iterator[LateLoop]:
    for path in sorted(Path(card.pages).glob(f"{card.pid}-*.page")):
        reading = page.read(path)
        if reading is None or reading.stopped_ns:
            continue
        began_ns = reading.turn_ns or reading.due_ns
        late_ns = monotonic_ns() - began_ns
        if began_ns and late_ns > reading.limit_ns // 2 + GRACE_NS:
            yield LateLoop(int(path.stem.rpartition("-")[2]), late_ns / 1e6, reading.native_thread_id)


def _holder(threads: tuple[ThreadDump, ...], late: tuple[LateLoop, ...]) -> ThreadDump | None:
    late_ids = {loop.native_id for loop in late}
    by_gil = (thread for thread in threads if thread.has_gil)
    by_loop = (thread for thread in threads if thread.native_id in late_ids)
    return next(by_gil, None) or next(by_loop, None)


def _witnessed(card: ConsoleEndpoint, late: tuple[LateLoop, ...]) -> tuple[ThreadDump, ...]:
    """What the runner has seen of the same stall."""
    if not (card.folder and late):
        return ()
    events = (
        event for _, event in Follower(RunFolder(Path(card.folder)).events, "runner-*.jsonl").new_events()
    )
    began_ns = monotonic_ns() - max(loop.since_ms for loop in late) * 1e6 - GRACE_NS
    seen = [event for event in events if isinstance(event, ThreadsDumped) and event.pid == card.pid]
    return seen[-1].threads if seen and seen[-1].at_ns >= began_ns else ()


def _place(frame: Frame | None) -> str:
    return f"{frame.file}:{frame.line} {frame.function}" if frame is not None else "nowhere in Python"
