"""The thread that samples a loop while it is late, and sleeps in the kernel otherwise.

One thread serves every loop of the process. A loop's dead-man's timer (`deadman.py`) wakes it up; then it
takes the stack of the loop's thread every few milliseconds until the loop is on time again. It waits in
`poll`, without the GIL, and needs nothing from the loop.

A loop that cannot set its timer, because it has no selector in Python, is looked at instead (`lookout.py`),
each time the timer would run out.
"""

from __future__ import annotations

import os
import select
import threading
from asyncio import Handle, Task, current_task
from collections import Counter
from collections.abc import Callable, Sequence
from time import thread_time_ns
from types import FrameType
from typing import TYPE_CHECKING, Any

from ...record import page
from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import CADENCE, QueuedCallbacks, Sample
from ...record.process import collection
from ...record.process.high_descriptor import raised
from ...record.value import replace
from ..alarm_clock import AlarmClock
from ..hang.teller import HangTeller
from ..hooks.runtime import imports_lazily
from ..hooks.state import frame_state, loop_state, task_state
from ..hooks.state.thread_state import current_frames
from ..tasks import coroutine, identity
from ..threads import other_threads, usage
from ..threads.run_queue import RunQueue
from . import victims
from .native_frames import CompiledCalls
from .turns import Turns
from .victims import DelayedCallbacks

if TYPE_CHECKING:
    from .deadman import DeadMan

# Most distinct samples of one block; further ones are merged, which bounds the memory.
KEPT = 400
# A block that lasts is written again each time it has become longer by a half, but not more often than this:
# the process may be killed inside it, and an hour is then written 25 times.
WRITE_AGAIN_NS = 200_000_000
# How often the kernel is asked for the system call of one sample.
ASKED = 7
# A round of samples is followed by a rest this many times its CPU time. Only where thousands of callbacks are
# ready, or of tasks late, is that longer than the gap between samples.
REST = 5
# A sample that comes later than this was not just delayed: the process was stopped, or code held the GIL.
UNWATCHED_NS = 250_000_000
# Shorter delays are those of any thread.
DELAYED_NS = 20_000_000
# A thread that used less than 1/BUSY_SHARE of a stall did not cause it.
BUSY_SHARE = 10
LAZY = imports_lazily()

Frames = dict[int, FrameType]


class Stall:
    """The observations of a loop that is late: in a turn since *began_ns*, or due to wake up at that time."""

    __slots__ = (
        *("began_ns", "calls", "delayed_ns", "first_ns", "holders", "is_over", "kinds", "native_thread_id"),
        *("next_up", "others", "queue", "samples", "starved_ns", "step", "syscalls", "told", "unwatched_ns"),
        *("usage", "waiting", "watcher_queued_ns", "woke_ns", "woke_queued_ns", "write_ns"),
    )

    def __init__(self, began_ns: int, first_ns: int, native_thread_id: int) -> None:
        self.began_ns = began_ns
        self.first_ns = first_ns
        self.native_thread_id = native_thread_id
        self.usage: usage.Usage | None = None  # of the loop's thread at the first sample
        self.samples: list[Sample] = []
        self.holders: list[Task[Any] | None] = []  # the task of each sample
        self.waiting = DelayedCallbacks()
        # From the first sample over the limit on.
        self.others: dict[int, other_threads.ThreadSighting] | None = None
        self.step = 0  # grows when a sample finds another callback running
        self.next_up: Handle | None = None  # the callback that runs after the current one
        self.syscalls: Counter[str] = Counter()  # how often each was found in the newest sample
        self.queue: Sequence[Handle] = ()  # what was ready at the first sample
        self.kinds: tuple[QueuedCallbacks, ...] = ()  # the same, counted
        self.write_ns = 0  # when it is written next
        self.woke_ns = 0  # when the loop woke up late, 0 when it did not
        self.woke_queued_ns: int | None = None  # as in `Blocked`
        self.watcher_queued_ns = 0  # how long this thread itself has waited for a processor
        self.is_over = False
        self.unwatched_ns = 0  # the part of it in which no sample could be taken
        self.delayed_ns = 0  # the delays of all samples together: the watchdog had no processor, or no GIL
        self.starved_ns = 0  # the time that the loop's thread had no processor, as last found for a hang
        self.told = 0  # how often it has been told as a hang
        self.calls = CompiledCalls()

    def add(
        self, now_ns: int, frame: FrameType, task: Task[Any] | None, ready: Sequence[Handle], fault: str
    ) -> None:
        """Add a sample of the loop's thread, with the callbacks that are *ready* to run after this one."""
        if not self.samples:
            self.queue = ready
        next_up = ready[0] if ready else None
        if next_up is not self.next_up and self.next_up is not None:
            self.step += 1
        self.next_up = next_up
        stack, entering, returned, scheduled = self.calls.seen(frame)
        task = task or returned
        if task is None:
            around: dict[str, Any] = {"created": scheduled} if scheduled else {}
        elif self.holders and self.holders[-1] is task:
            around = {"awaited_by": self.samples[-1].awaited_by, "created": self.samples[-1].created}
        else:
            # Now, not when it is written: a task that has ended forgets the tasks that waited for it.
            around = {"awaited_by": identity.awaited_by(task), "created": coroutine.of_task(task).created}
        who = identity.of_step(task, frame)
        lazy = frame_state.lazily_imported(frame, loop_state.run_code()) if LAZY else ""
        around |= {"step": self.step, "entering": entering, "lazy": lazy}
        self.samples.append(Sample(now_ns, now_ns, 1, stack, *who, fault, **around))
        self.holders.append(task)

    def release(self) -> None:
        """Keep nothing of the program any more; the watchdog may have this stall at hand for some time."""
        self.holders = [None] * len(self.holders)
        self.next_up, self.queue, self.waiting = None, (), DelayedCallbacks()

    def named_samples(self) -> tuple[Sample, ...]:
        """The samples with current task names: an eager task is named only after its first step."""
        return tuple(
            sample if task is None else replace(sample, task=task_state.name_of(task))
            # Not strict: the watchdog may be about to add one.
            for sample, task in zip(self.samples, self.holders, strict=False)
        )


class WatchedThread:
    """The watched loops of one thread."""

    __slots__ = (
        *("acting_fault", "hangs", "left_ns", "next_look_ns", "on_seen", "reported_ns", "stacks", "stall"),
        *("timer", "turns", "waits"),
    )

    def __init__(
        self,
        turns: Turns,
        timer: DeadMan,
        *,
        on_seen: Callable[[Turns, Stall, int], None],
        acting_fault: Callable[[int], str],
        hangs: HangTeller,
    ) -> None:
        """*on_seen* is called at the first sample over the limit, and at growing intervals while it lasts."""
        self.turns = turns
        self.timer = timer
        self.on_seen = on_seen
        self.acting_fault = acting_fault
        self.hangs = hangs
        self.stall: Stall | None = None
        self.next_look_ns = 0
        # Of the other threads, between the two halves of a sample.
        self.stacks: other_threads.Stacks | None = None
        self.reported_ns = 0  # when the last reported turn began; the report is part of that turn
        # When the process was about to end: what the probe then does is part of that turn, too.
        self.left_ns = 0
        self.waits = False  # the latest look found that the loop waits, which nothing else will tell

    def is_done_with(self, began_ns: int) -> bool:
        """Whether the turn that began then is in the record already, but for the probe's own work in it."""
        return began_ns == self.reported_ns or began_ns <= self.left_ns

    def end_stall(self, began_ns: int, ended_ns: int) -> Stall:
        """End the stall, so that it is no longer sampled, and return it.

        Reporting a stall with many victims takes milliseconds. A sample of that would show the probe at work,
        and the record would take it for another block.
        """
        stall = self.stall_since(began_ns, ended_ns)
        self.reported_ns, self.stall = began_ns, None
        stall.is_over = True
        return stall

    def stall_since(self, began_ns: int, now_ns: int) -> Stall:
        """The stall that began at *began_ns*; without samples if the watchdog had no chance to take any."""
        stall = self.stall
        if stall is None or stall.began_ns != began_ns:
            stall = self.stall = Stall(began_ns, now_ns, self.turns.native_thread_id)
        return stall


class Watchdog:
    """Watches the loops that are added, until it is closed or the process ends."""

    def __init__(self, on_error: Callable[[str, BaseException], None], clock: AlarmClock) -> None:
        """It also wakes the threads that wait by *clock*."""
        self._on_error = on_error
        self._clock = clock
        self._watched: dict[int, WatchedThread] = {}
        with select.epoll() as low:
            self._poll = select.epoll.fromfd(raised(os.dup(low.fileno())))
        if clock.fd >= 0:
            self._poll.register(clock.fd, select.EPOLLIN | select.EPOLLET)
        self._closing = False
        self._run_queue: RunQueue | None = None  # of the watchdog's own thread
        self.cpu_ns = 0
        self._thread = Background(lambda: self._guarded(self._watch), spares=True)

    def add(self, watched: WatchedThread) -> None:
        """Watch one more thread's loops."""
        self._watched[watched.timer.fd] = watched
        # Edge-triggered, so that the timer need not be read: a read releases the GIL, and the loop's thread
        # would leave the call in C that had held it.
        self._poll.register(watched.timer.fd, select.EPOLLIN | select.EPOLLET)

    def remove(self, watched: WatchedThread) -> None:
        """Stop watching; then the timer can be closed."""
        if self._watched.pop(watched.timer.fd, None) is not None:
            self._poll.unregister(watched.timer.fd)

    def close(self) -> None:
        """End the thread, and close the descriptors."""
        self._closing = True
        bell = os.eventfd(1)
        self._poll.register(bell, select.EPOLLIN)
        self._thread.join()
        self._poll.close()
        os.close(bell)

    def abandon(self) -> None:
        """Close the descriptors in a child after `fork`, which has no such thread."""
        self._poll.close()
        if self._run_queue is not None:
            self._run_queue.close()

    def _watch(self) -> None:
        late: list[WatchedThread] = []
        run_queue = self._run_queue = RunQueue(threading.get_native_id())
        waited_ns = run_queue.waited_ns() or 0
        while not self._closing:
            wait_s = _wait_s(late)
            with collection.possible:
                fired = self._poll.poll(wait_s)
            now_ns = monotonic_ns()
            descriptors = {fd for fd, _ in fired}
            # A timer may also have run out since the poll, while code held the GIL.
            late += [
                watched
                for fd, watched in tuple(self._watched.items())
                if watched not in late
                and (fd in descriptors or self._guarded(_is_late, watched.turns, now_ns))
            ]
            # Now, before this thread releases the GIL.
            frames = current_frames() if late else {}
            looked, late = late, [w for w in late if self._guarded(_sample, w, frames, now_ns)]
            # At once: the thread that drops the last reference to a frame runs the finalizers of its objects.
            frames.clear()
            before_ns, waited_ns = waited_ns, run_queue.waited_ns() or 0
            for watched in late:
                self._guarded(_read_kernel, watched, now_ns, waited_ns - before_ns)
            for watched in looked:
                if watched.waits:
                    self._guarded(_look_again, watched, now_ns)
            before_ns, self.cpu_ns = self.cpu_ns, thread_time_ns()
            for watched in late:
                rested_ns = now_ns + REST * (self.cpu_ns - before_ns)
                watched.next_look_ns = max(watched.next_look_ns, rested_ns)
            if self._clock.fd in descriptors:
                self._guarded(self._clock.ring)  # last, as those that it wakes want the GIL
        run_queue.close()

    def _guarded(self, step: Callable[..., bool | None], *args: Any) -> bool:
        try:
            return bool(step(*args))
        except BaseException as exc:
            self._on_error("watchdog", exc)
            return False


def _look_again(watched: WatchedThread, now_ns: int) -> None:
    """Look at a waiting loop again when a turn that begins now would have to be sampled.

    No event of the kernel can take the place of these looks. The loop's epoll tells another thread that it is
    ready only until the loop's own thread has taken the event; a block after that would be missed.
    """
    watched.waits = False
    turns = watched.turns
    # For readers outside: without another look, the loop has been late since about the middle.
    turns.words[page.DUE] = now_ns + turns.look_after_ns // 2
    watched.timer.set(turns.look_after_ns)


def _wait_s(late: list[WatchedThread]) -> float:
    if not late:
        return -1
    return max(0, min(watched.next_look_ns for watched in late) - monotonic_ns()) / 1e9


def _is_late(turns: Turns, now_ns: int) -> bool:
    began_ns, due_ns = turns.state()
    return 0 < (began_ns or due_ns) <= now_ns - turns.look_after_ns


def _sample(watched: WatchedThread, frames: Frames, now_ns: int) -> bool:
    """Sample a loop, if it is late and the next sample is due; return whether it is late."""
    turns = watched.turns
    words, loop, frame = turns.words, turns.loop, frames.get(turns.thread_ident)
    # Until it has been looked at, a failure must not be the last that is seen of the loop.
    watched.waits = turns.is_looked_at
    turn_ns, due_ns = turns.look(now_ns, frame)
    # The loop itself writes to the page only what costs it nothing; readers outside need more.
    words[page.TURN], words[page.DUE] = turn_ns, due_ns
    began_ns = turn_ns or due_ns
    is_over = watched.is_done_with(began_ns)
    if not began_ns or is_over or loop is None or frame is None:
        return False  # the loop waits without a timeout; its next turn sets the timer again
    since_ns = now_ns - began_ns
    if since_ns < turns.look_after_ns:
        watched.waits = False
        watched.timer.set(turns.look_after(since_ns))
        if not turns.is_looked_at and turns.state() != (turn_ns, due_ns):
            # The loop has gone on just now, and may have set the timer before.
            watched.timer.set(turns.look_after_ns)
        return False
    if watched.stall and watched.stall.began_ns == began_ns and now_ns < watched.next_look_ns:
        watched.waits = False
        return True
    stall = watched.stall_since(began_ns, now_ns)
    due_ns = watched.next_look_ns if stall.samples else began_ns + turns.look_after_ns
    if now_ns - due_ns > DELAYED_NS:
        stall.delayed_ns += now_ns - due_ns
    if now_ns - due_ns > UNWATCHED_NS:
        stall.unwatched_ns += now_ns - due_ns
    ready = loop_state.ready_now(loop)
    stall.add(now_ns, frame, current_task(loop), ready, watched.acting_fault(turns.thread_ident))
    stall.waiting.scan_ready(loop, now_ns if len(stall.samples) > 1 else began_ns)
    if turns.is_looked_at:
        # Now, with the GIL: when the turn is over, the loop does not wait for anyone to look.
        stall.waiting.scan_timers(loop, now_ns)
        stall.waiting.scan_waiting(turns.waiting_files(began_ns), began_ns, now_ns)
    words[page.LOOKED] = now_ns
    watched.next_look_ns = now_ns + CADENCE.gap_ns(since_ns)
    watched.stacks = other_threads.stacks(frames, turns.thread_ident)
    watched.waits = False
    return True


def _read_kernel(watched: WatchedThread, now_ns: int, queued_ns: int) -> bool:
    """The second half of a sample, which reads files and so releases the GIL; false without a first half.

    *queued_ns* is how long this thread waited for a processor before it took the first half.
    """
    stall, turns, stacks = watched.stall, watched.turns, watched.stacks
    watched.stacks = None
    # The next sample is not due yet, or the loop was on time in between.
    if stall is None or stacks is None or not stall.samples:
        return False
    stall.watcher_queued_ns += queued_ns
    stall.usage = stall.usage or usage.usage(turns.native_thread_id)
    if stall.queue:
        stall.kinds, stall.queue = victims.kinds_of(stall.queue), ()
    _merge(stall)
    since_ns = now_ns - stall.began_ns
    if since_ns < turns.limit_ns or watched.is_done_with(stall.began_ns):
        return True
    hangs = watched.hangs.is_due(stall, now_ns)
    if hangs or now_ns >= stall.write_ns:
        stall.write_ns = now_ns + max(since_ns // 2, WRITE_AGAIN_NS)
        if stall.others is None:
            stall.others = other_threads.busy(stacks, since_ns // BUSY_SHARE)
        watched.on_seen(turns, stall, now_ns)
    if hangs and not stall.is_over:
        watched.hangs.tell(stall, now_ns)
    return True


def _merge(stall: Stall) -> None:
    """Merge the newest sample into the one before, if they are equal or there is no more room."""
    newest = stall.samples[-1]
    if len(stall.samples) > 1:
        before = stall.samples[-2]
        same = (before.stack, before.fault, before.step) == (newest.stack, newest.fault, newest.step)
        if (same and stall.holders[-2] is stall.holders[-1]) or len(stall.samples) > KEPT:
            del stall.samples[-1], stall.holders[-1]
            newest = replace(before, last_ns=newest.last_ns, count=before.count + 1)
        else:
            stall.syscalls.clear()
    # The system call distinguishes a call that waits from one that computes. One answer is not enough: a
    # signal may just have interrupted a wait, and computing code calls the system now and then.
    if stall.syscalls.total() < ASKED:
        stall.syscalls[usage.syscall(stall.native_thread_id)] += 1
        ((most_often, _),) = stall.syscalls.most_common(1)
        newest = replace(newest, syscall=most_often)
    stall.samples[-1] = newest
