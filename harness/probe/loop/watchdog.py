"""The thread that looks at a loop while it is late, and sleeps in the kernel otherwise.

One thread serves every loop of the process. It is woken by a loop's dead-man's timer (`deadman.py`) and then
takes the stack of the loop's thread every few milliseconds until the loop is on time again. It waits in
`poll`, without the GIL; the loop is never asked to do anything.
"""

from __future__ import annotations

import os
import select
import sys
from asyncio import Handle, Task, current_task
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import thread_time_ns
from types import FrameType
from typing import Any

from ...record import page
from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import CADENCE, QueuedCallbacks, Sample
from ...record.value import replace
from ..hooks import loop_state
from ..tasks import coroutine, identity
from ..threads import other_threads, usage
from ..threads.stack import stack_of
from . import victims
from .deadman import DeadMan
from .turns import Turns
from .victims import DelayedCallbacks

# Samples of one block that differ from the one before: more are merged, so memory is bounded.
KEPT = 400

# A thread that used less than this part of a stall did not cause it.
BUSY_SHARE = 10

Frames = dict[int, FrameType]


@dataclass(slots=True)
class Stall:
    """What was seen so far of a loop that is late: in a turn since *began_ns*, or due to wake up then."""

    began_ns: int
    first_ns: int
    native_thread_id: int
    usage: usage.Usage | None = None  # of the loop's thread at the first look
    samples: list[Sample] = field(default_factory=list)
    holders: list[Task[Any] | None] = field(default_factory=list)  # the task of each sample
    waiting: DelayedCallbacks = field(default_factory=DelayedCallbacks)
    others: dict[int, other_threads.ThreadSighting] | None = None  # from the first look over the limit on
    step: int = 0  # grows when another callback runs than at the look before
    next_up: Handle | None = None  # the callback whose turn it is after the one that runs
    queue: Sequence[Handle] = ()  # what was ready at the first look
    kinds: tuple[QueuedCallbacks, ...] = ()  # the same, counted
    announced: bool = False
    woke_ns: int = 0  # when the loop woke up late, 0 when it did not

    def add(
        self, now_ns: int, frame: FrameType, task: Task[Any] | None, ready: Sequence[Handle], fault: str
    ) -> None:
        """One more look at the loop's thread, with what is *ready* to run after this."""
        if not self.samples:
            self.queue = ready
        next_up = ready[0] if ready else None
        if next_up is not self.next_up and self.next_up is not None:
            self.step += 1
        self.next_up = next_up
        if task is None:
            around: dict[str, Any] = {}
        elif self.holders and self.holders[-1] is task:
            around = {"awaited_by": self.samples[-1].awaited_by, "created": self.samples[-1].created}
        else:
            # Now, and not when it is written: a task that has ended forgets who waited for it.
            around = {"awaited_by": identity.awaited_by(task), "created": coroutine.of_task(task).created}
        who = identity.of_step(task, frame)
        self.samples.append(Sample(now_ns, now_ns, 1, stack_of(frame), *who, fault, step=self.step, **around))
        self.holders.append(task)

    def named_samples(self) -> tuple[Sample, ...]:
        """The samples; a task that began eagerly got its name only after its first step, so by now."""
        return tuple(
            sample if task is None else replace(sample, task=task.get_name())
            # Not strict: the watchdog may be about to add one.
            for sample, task in zip(self.samples, self.holders, strict=False)
        )


@dataclass(slots=True)
class WatchedThread:
    """One thread's loops under watch."""

    turns: Turns
    timer: DeadMan
    on_seen: Callable[[Stall], None]  # called once per stall, at the first look over the limit
    acting_fault: Callable[[int], str]
    stall: Stall | None = None
    next_look_ns: int = 0
    stacks: other_threads.Stacks | None = None  # of the other threads, between the two halves of a look

    told_ns: int = 0  # when the turn began whose end has been told; it goes on while it is told

    def end_stall(self, began_ns: int, ended_ns: int) -> Stall:
        """What was seen of the stall that is over; nobody looks at it any more.

        To tell of it takes milliseconds if it had many victims: a look would find the probe at work, which
        the record would take for one more block.
        """
        stall = self.stall_since(began_ns, ended_ns)
        self.told_ns, self.stall = began_ns, None
        return stall

    def stall_since(self, began_ns: int, now_ns: int) -> Stall:
        """What was seen of the stall that began then; empty when the watchdog had no chance to look."""
        stall = self.stall
        if stall is None or stall.began_ns != began_ns:
            stall = self.stall = Stall(began_ns, now_ns, self.turns.native_thread_id)
        return stall


class Watchdog:
    """Watches until it is closed, or as long as the process lives; loops come and go."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._watched: dict[int, WatchedThread] = {}
        self._poll = select.epoll()
        self._closing = False
        self.cpu_ns = 0
        self._thread = Background(self._run)

    def add(self, watched: WatchedThread) -> None:
        """Watch one more thread's loops."""
        self._watched[watched.timer.fd] = watched
        # Edge-triggered, so that the timer need not be read: a read gives the GIL away, and with it the
        # stack of a loop that had just been held by a call in C.
        self._poll.register(watched.timer.fd, select.EPOLLIN | select.EPOLLET)

    def remove(self, watched: WatchedThread) -> None:
        """Stop watching; the timer can be closed."""
        if self._watched.pop(watched.timer.fd, None) is not None:
            self._poll.unregister(watched.timer.fd)

    def close(self) -> None:
        """End the thread, and give the descriptors back."""
        self._closing = True
        bell = os.eventfd(1)
        self._poll.register(bell, select.EPOLLIN)
        self._thread.join()
        self._poll.close()
        os.close(bell)

    def abandon(self) -> None:
        """Close the descriptor in a child after `fork`, which has no such thread."""
        self._poll.close()

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as exc:
            self._on_error("watchdog", exc)

    def _watch(self) -> None:
        late: list[WatchedThread] = []
        while not self._closing:
            fired = self._poll.poll(_wait_s(late))
            # First of all, while the GIL is still here.
            frames, now_ns = sys._current_frames(), monotonic_ns()
            late += [w for fd, _ in fired if (w := self._watched.get(fd)) is not None and w not in late]
            late = [watched for watched in late if self._guarded(_look, watched, frames, now_ns)]
            # Not held any longer: who drops a frame last runs the finalizers of what it held.
            frames.clear()
            for watched in late:
                self._guarded(_ask_kernel, watched, now_ns)
            self.cpu_ns = thread_time_ns()

    def _guarded(self, step: Callable[..., bool], *args: Any) -> bool:
        try:
            return step(*args)
        except Exception as exc:
            self._on_error("watchdog", exc)
            return False


def _wait_s(late: list[WatchedThread]) -> float:
    if not late:
        return -1
    return max(0, min(watched.next_look_ns for watched in late) - monotonic_ns()) / 1e9


def _look(watched: WatchedThread, frames: Frames, now_ns: int) -> bool:
    """Look at a loop, if it is late and it is time; whether it is late."""
    turns = watched.turns
    words, loop, frame = turns.words, turns.loop, frames.get(turns.thread_ident)
    turn_ns, due_ns = turns.state()
    # The loop itself tells the page only what costs it nothing; who looks from outside needs to know more.
    words[page.TURN], words[page.DUE] = turn_ns, due_ns
    began_ns = turn_ns or due_ns
    if not began_ns or began_ns == watched.told_ns or loop is None or frame is None:
        return False  # it waits for nothing in particular; its next turn sets the timer again
    since_ns = now_ns - began_ns
    if since_ns < turns.look_after_ns:
        watched.timer.set(turns.look_after_ns - since_ns)
        return False
    if watched.stall and watched.stall.began_ns == began_ns and now_ns < watched.next_look_ns:
        return True
    stall = watched.stall_since(began_ns, now_ns)
    ready = tuple(loop_state.ready(loop))
    stall.add(now_ns, frame, current_task(loop), ready, watched.acting_fault(turns.thread_ident))
    stall.waiting.look(loop, now_ns if len(stall.samples) > 1 else began_ns)
    words[page.LOOKED] = now_ns
    watched.next_look_ns = now_ns + CADENCE.gap_ns(since_ns)
    watched.stacks = other_threads.stacks(frames, turns.thread_ident)
    return True


def _ask_kernel(watched: WatchedThread, now_ns: int) -> bool:
    """The other half of a look, which reads files, and so gives the GIL away; whether there was a first."""
    stall, turns, stacks = watched.stall, watched.turns, watched.stacks
    watched.stacks = None
    # It is not time yet, or the loop is on time again, or late again since.
    if stall is None or stacks is None or not stall.samples:
        return False
    stall.usage = stall.usage or usage.usage(turns.native_thread_id)
    if stall.queue:
        stall.kinds, stall.queue = victims.kinds_of(stall.queue), ()
    _merge(stall)
    since_ns = now_ns - stall.began_ns
    if since_ns >= turns.limit_ns and not stall.announced and stall.began_ns != watched.told_ns:
        stall.announced = True
        if stall.others is None:
            stall.others = other_threads.busy(stacks, since_ns // BUSY_SHARE)
        watched.on_seen(stall)
    return True


def _merge(stall: Stall) -> None:
    """Join the newest sample with the one before, when they saw the same or there is no more room."""
    newest = stall.samples[-1]
    if len(stall.samples) > 1:
        before = stall.samples[-2]
        same = (before.stack, before.fault, before.step) == (newest.stack, newest.fault, newest.step)
        if (same and stall.holders[-2] is stall.holders[-1]) or len(stall.samples) > KEPT:
            del stall.samples[-1], stall.holders[-1]
            newest = replace(before, last_ns=newest.last_ns, count=before.count + 1)
    # Where the kernel has the thread tells a call that waits from one that computes, if it stays there.
    if not newest.syscall:
        newest = replace(newest, syscall=usage.syscall(stall.native_thread_id))
    stall.samples[-1] = newest
