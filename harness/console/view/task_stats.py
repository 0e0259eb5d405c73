"""Counts the steps of tasks while `top` is used: how long each held its loop, and how long it was ready.

uvloop's steps cannot be timed: its current task is sampled every few milliseconds instead, which estimates
the time that steps take, but not how long they were ready. A first step that is run eagerly is a part of the
step that made the task.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, BaseEventLoop, Task, current_task
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...probe.hooks.process.fork_hook import in_forked_child
from ...probe.hooks.state import loop_state
from ...probe.hooks.step_timer import StepTimer
from ...probe.tasks import identity
from ...record.clock import monotonic_ns

if TYPE_CHECKING:
    from ..protocol.command import CommandClient
    from .loop_view import LoopView
    from .process import ProcessView

# The shortest window, for the first `top` and for one that follows another at once.
WINDOW_NS = 250_000_000
# Counting ends when `top` was not used for this time. Until then, a step that does nothing takes 1.5 times as
# long, measured with a loop around `sleep(0)`.
KEPT_ON_NS = 30_000_000_000
# How often that is checked.
CHECK_EVERY_S = 1.0
# Between two samples of a loop whose steps cannot be timed.
SAMPLE_EVERY_S = 0.002
# Most coroutines whose ended tasks are counted separately.
KINDS = 500
# Most ready callbacks read without a pause, while the GIL is held.
READY = 2_000


@dataclass(slots=True)
class TaskAccount:
    """The steps of one task in the window; times in nanoseconds."""

    task: ref[Task[Any]]
    polls: int = 0
    busy_ns: int = 0
    ready_ns: int = 0  # from when it was ready until its step began
    longest_ns: int = 0
    woke_itself: int = 0  # steps after which it was ready again at once


@dataclass(slots=True)
class StatsSum:
    """The sum over all ended tasks of one coroutine, or over all callbacks that are not steps of tasks."""

    count: int = 0
    polls: int = 0
    busy_ns: int = 0
    ready_ns: int = 0
    longest_ns: int = 0

    def add(self, account: TaskAccount) -> None:
        """Add a task that has ended."""
        self.count += 1
        self.polls += account.polls
        self.busy_ns += account.busy_ns
        self.ready_ns += account.ready_ns
        self.longest_ns = max(self.longest_ns, account.longest_ns)

    def add_callback(self, held_ns: int) -> None:
        """Add a callback."""
        self.count += 1
        self.busy_ns += held_ns
        if held_ns > self.longest_ns:
            self.longest_ns = held_ns


@dataclass(frozen=True, slots=True)
class StatsWindow:
    """The counts between two moments."""

    began_ns: int
    ended_ns: int
    accounts: dict[int, TaskAccount] = field(repr=False)  # by the `id` of the task
    ended: dict[str, StatsSum] = field(repr=False)  # ended tasks, by coroutine
    callbacks: StatsSum
    seen: dict[int, int] = field(repr=False)  # samples in which a task ran, by its `id`; uncounted loops only
    samples: int  # in all; 0 when every loop is counted

    @property
    def length_ns(self) -> int:
        return self.ended_ns - self.began_ns

    def of(self, task: Task[Any]) -> TaskAccount:
        """The account of *task*; an empty one if the task had no step."""
        account = self.accounts.get(id(task))
        return account if account is not None and account.task() is task else TaskAccount(ref(task))

    def counts(self, task: Task[Any]) -> bool:
        """Whether the steps of *task* are counted."""
        return not self.samples or is_counted(task.get_loop())

    def estimated_ns(self, key: int) -> int:
        """The busy time of the task with that `id`, estimated from samples."""
        return self.seen.get(key, 0) * self.length_ns // self.samples if self.samples else 0


class TaskStats:
    """Counts the steps in this process."""

    def __init__(self) -> None:
        self._timer = StepTimer(self._count, lambda held_ns: self._callbacks.add_callback(held_ns))
        self._lock = threading.Lock()
        self._until_ns = 0
        self._clear()

    @property
    def missed(self) -> int:
        """The steps that could not be counted."""
        return self._timer.missed

    def window(self, process: ProcessView, client: CommandClient) -> StatsWindow:
        """The steps of the tasks since the last call, or during the next `WINDOW_NS`."""
        with self._lock:
            self._until_ns = monotonic_ns() + KEPT_ON_NS
            if not self._timer.is_on:
                self._clear()
                self._timer.begin()
                process.start_thread(lambda: self._end_in_time(process))
        views = process.loops()
        uncounted = [view for view in views if not is_counted(view.loop)]
        sampled_since_ns = monotonic_ns()
        seen, samples = self._wait(uncounted, client)
        with self._lock:
            window = StatsWindow(
                sampled_since_ns if samples and len(uncounted) == len(views) else self._began_ns,
                monotonic_ns(),
                self._accounts,
                self._ended,
                self._callbacks,
                seen,
                samples,
            )
            self._clear()
        for view in views:
            if is_counted(view.loop):
                self._add_running(view.loop, window)
                self._add_ready(view.loop, window)
        return window

    def abandon(self) -> None:
        """Stop counting in a forked child, which lacks the thread that would."""
        self._lock = threading.Lock()
        self._end()

    def _end_in_time(self, process: ProcessView) -> None:
        is_closed = False
        while not is_closed:
            left_s = (self._until_ns - monotonic_ns()) / 1e9
            is_closed = process.wait_closed(within_s=min(max(0.0, left_s), CHECK_EVERY_S))
            with self._lock:
                if is_closed or monotonic_ns() >= self._until_ns:
                    self._end()
                    return

    def _end(self) -> None:
        self._timer.end()
        self._clear()

    def _clear(self) -> None:
        self._began_ns = monotonic_ns()
        self._accounts: dict[int, TaskAccount] = {}
        self._ended: dict[str, StatsSum] = {}
        self._callbacks = StatsSum()
        self._timer.trim()

    def _wait(self, uncounted: list[LoopView], client: CommandClient) -> tuple[dict[int, int], int]:
        """Wait for the end of the window, sampling the loops that cannot be counted."""
        until_ns = (monotonic_ns() if uncounted else self._began_ns) + WINDOW_NS
        seen: dict[int, int] = {}
        samples = 0
        while (left_s := (until_ns - monotonic_ns()) / 1e9) > 0:
            if client.wait_gone(within_s=min(left_s, SAMPLE_EVERY_S) if uncounted else left_s):
                break
            running = [id(current_task(view.loop)) for view in uncounted]
            for key in running:
                seen[key] = seen.get(key, 0) + 1
            samples += bool(running)
        return seen, samples

    def _count(
        self, task: Task[Any], began_ns: int, held_ns: int, ready_ns: int, is_ready_again: bool
    ) -> None:
        window_ns = self._began_ns
        if began_ns < window_ns:
            # It began in an earlier window: only the part within this one counts.
            held_ns, began_ns = held_ns - (window_ns - began_ns), window_ns
        account = self._accounts.get(id(task))
        # A task may have the `id` of one that was collected.
        if account is None or account.task() is not task:
            account = self._accounts[id(task)] = TaskAccount(ref(task))
        account.polls += 1
        account.busy_ns += held_ns
        account.ready_ns += began_ns - max(ready_ns, window_ns)
        if held_ns > account.longest_ns:
            account.longest_ns = held_ns
        if task.done():
            self._close(task, account)
        elif is_ready_again:  # a bare yield, as of `sleep(0)`
            account.woke_itself += 1

    def _close(self, task: Task[Any], account: TaskAccount) -> None:
        """Add an ended task to the sum for its coroutine."""
        self._accounts.pop(id(task), None)
        name = identity.name_of(task.get_coro())
        if name not in self._ended and len(self._ended) >= KINDS:
            name = ""
        self._ended.setdefault(name, StatsSum()).add(account)

    def _add_running(self, loop: AbstractEventLoop, window: StatsWindow) -> None:
        """Add the running step: the part of it within the window."""
        if (task := current_task(loop)) is not None:
            account = window.accounts.setdefault(id(task), TaskAccount(ref(task)))
            held_ns = window.ended_ns - max(self._timer.began.get(id(task), 0), window.began_ns)
            account.busy_ns += held_ns
            account.longest_ns = max(account.longest_ns, held_ns)

    def _add_ready(self, loop: AbstractEventLoop, window: StatsWindow) -> None:
        """Add the time of the tasks that are ready and have not run yet."""
        for handle in tuple(loop_state.ready(loop))[:READY]:
            task = getattr(loop_state.callback(handle), "__self__", None)
            since_ns = self._timer.ready.get(id(handle))
            if isinstance(task, Task) and since_ns is not None:
                account = window.accounts.setdefault(id(task), TaskAccount(ref(task)))
                account.ready_ns += window.ended_ns - max(since_ns, window.began_ns)


STEPS = TaskStats()
in_forked_child(STEPS.abandon)


def is_counted(loop: AbstractEventLoop) -> bool:
    """Whether the steps of *loop* can be counted."""
    return isinstance(loop, BaseEventLoop)
