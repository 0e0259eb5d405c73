"""The thread that looks at a loop while it is late, and sleeps in the kernel otherwise.

One thread serves every loop of the process. It is woken by a loop's dead-man's timer (`deadman.py`) and then
takes the stack of the loop's thread every few milliseconds until the turn ends. It waits in `poll`, without
the GIL; the loop is never asked to do anything.
"""

from __future__ import annotations

import select
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns, thread_time_ns
from types import FrameType

from ..record import page
from ..record.event import Frame, Sample
from . import schedstat, tasks
from .deadman import DeadMan
from .turns import Turns
from .victims import Waiting

# Between two looks at a late loop; short blocks in a row come apart at this grain.
LOOK_EVERY_NS = 5_000_000
# A block of ten minutes would be looked at 120,000 times: beyond this the looks thin out with its length ...
DENSE_NS = 2_000_000_000
# ... and what differs from the look before is kept up to this number, so memory is bounded.
KEPT = 400
# Frames of one stack; deeper ones lose their outermost.
DEPTH = 100


@dataclass(slots=True)
class Stall:
    """What was seen of one late turn so far."""

    began_ns: int
    first_ns: int
    native_thread_id: int
    usage: schedstat.Usage | None  # of the loop's thread at the first look
    samples: list[Sample] = field(default_factory=list)
    waiting: Waiting = field(default_factory=Waiting)
    announced: bool = False  # the turn was seen over the limit, and said to be


@dataclass(slots=True)
class Watched:
    """One thread's loops under watch."""

    turns: Turns
    timer: DeadMan
    on_seen: Callable[[Stall], None]  # called once per late turn, at the first look over the limit
    acting_fault: Callable[[int], str]
    stall: Stall | None = None
    next_look_ns: int = 0

    def take_stall(self, began_ns: int) -> Stall | None:
        """What was seen of the turn that began then; the watchdog forgets it."""
        stall, self.stall = self.stall, None
        return stall if stall is not None and stall.began_ns == began_ns else None


class Watchdog:
    """Watches until `stop`; loops come and go."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._watched: dict[int, Watched] = {}
        self._poll = select.epoll()
        self._stopped = False
        self.cpu_ns = 0
        self._thread = threading.Thread(target=self._run, name="harness-watchdog", daemon=True)
        self._thread.start()

    def add(self, watched: Watched) -> None:
        """Watch one more thread's loops."""
        self._watched[watched.timer.fd] = watched
        self._poll.register(watched.timer.fd, select.EPOLLIN)

    def remove(self, watched: Watched) -> None:
        """Stop watching; the timer can be closed."""
        if self._watched.pop(watched.timer.fd, None) is not None:
            self._poll.unregister(watched.timer.fd)

    def stop(self) -> None:
        """Let the thread end at its next chance; it is a daemon and holds nobody up."""
        self._stopped = True

    def _run(self) -> None:
        late: list[Watched] = []
        while not self._stopped:
            fired = self._poll.poll(self._wait_s(late))
            for fd, _ in fired:
                watched = self._watched.get(fd)
                if watched is not None:
                    watched.timer.clear()
                    if watched not in late:
                        late.append(watched)
            late = [watched for watched in late if self._looked_at(watched)]
            self.cpu_ns = thread_time_ns()

    def _wait_s(self, late: list[Watched]) -> float:
        if not late:
            return -1
        return max(0, min(watched.next_look_ns for watched in late) - monotonic_ns()) / 1e9

    def _looked_at(self, watched: Watched) -> bool:
        """Look, if it is time; whether the turn still lasts and wants another look."""
        try:
            return self._look(watched, monotonic_ns())
        except Exception as exc:
            self._on_error("watchdog", exc)
            watched.stall = None
            return False

    def _look(self, watched: Watched, now_ns: int) -> bool:
        turns = watched.turns
        began_ns, loop = turns.words[page.TURN], turns.loop
        if not began_ns or loop is None:
            return False  # it waits, in good health; its next turn sets the timer again
        since_ns = now_ns - began_ns
        if since_ns < turns.look_after_ns:
            watched.timer.set(turns.look_after_ns - since_ns)
            return False
        if now_ns < watched.next_look_ns and watched.stall and watched.stall.began_ns == began_ns:
            return True
        frame = sys._current_frames().get(turns.thread_ident)
        if frame is None or turns.words[page.TURN] != began_ns:
            return False
        stall = watched.stall
        if stall is None or stall.began_ns != began_ns:
            usage = schedstat.read(turns.native_thread_id)
            stall = Stall(began_ns, now_ns, turns.native_thread_id, usage)
            stall.waiting.look(loop, began_ns)
        else:
            stall.waiting.look(loop, now_ns)
        _note(stall, now_ns, frame, loop, watched.acting_fault(turns.thread_ident))
        del frame
        # The loop may have ended the turn meanwhile, and asked for what was seen: then this comes too late.
        if turns.words[page.TURN] == began_ns:
            watched.stall = stall
            if since_ns >= turns.limit_ns and not stall.announced:
                stall.announced = True
                watched.on_seen(stall)
        watched.next_look_ns = now_ns + max(LOOK_EVERY_NS, (since_ns - DENSE_NS) // 100)
        return True


def stack_of(frame: FrameType | None) -> tuple[Frame, ...]:
    """The stack that ends in *frame*, outermost first, without the probe's own frames."""
    frames: list[Frame] = []
    while frame is not None and len(frames) < DEPTH:
        code = frame.f_code
        frames.append(Frame(code.co_filename, frame.f_lineno or 0, code.co_qualname))
        frame = frame.f_back
    frames.reverse()
    return tuple(frames)


def _note(stall: Stall, now_ns: int, frame: FrameType, loop: AbstractEventLoop, fault: str) -> None:
    stack = stack_of(frame)
    last = stall.samples[-1] if stall.samples else None
    if last is not None and (len(stall.samples) >= KEPT or (last.stack == stack and last.fault == fault)):
        stall.samples[-1] = Sample(
            last.first_ns, now_ns, last.count + 1, last.stack, *_identity(last), last.fault
        )
        return
    stall.samples.append(Sample(now_ns, now_ns, 1, stack, *tasks.running(loop, frame), fault))


def _identity(sample: Sample) -> tasks.Identity:
    return tasks.Identity(sample.task, sample.coroutine, sample.span, sample.trace_id, sample.span_id)
