"""Counts the steps of tasks while somebody asks for `top`: how long each held the loop, and waited for it.

asyncio runs every step by `Handle._run` and makes it ready by `_call_soon`, also those of tasks written in C,
so these two are replaced, for all loops at once, and put back when nobody has asked for a while. uvloop calls
neither: its loops are looked at every few milliseconds instead, which estimates the one and tells nothing of
the other. A first step that is run eagerly is a part of the step that made the task.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop, BaseEventLoop, Handle, Task, current_task
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...record.clock import monotonic_ns

if TYPE_CHECKING:
    from ..protocol.command import CommandClient
    from .loop_view import LoopView
    from .process import ProcessView

# The first `top` is answered after this time; so is one that follows another at once.
WINDOW_NS = 250_000_000
# Without another `top` within this time the counting ends. A step that does nothing takes half as long again
# meanwhile, measured with a loop around `sleep(0)`.
KEPT_ON_NS = 30_000_000_000
# Whether somebody has, is looked at so often.
LOOK_AGAIN_S = 1.0
# Between two looks at a loop that cannot be counted.
LOOK_EVERY_S = 0.002
# Kinds of coroutines of which ended tasks are kept apart.
KINDS = 500
# Callbacks that were made ready and cancelled leave their time stamp behind.
STAMPS = 100_000
# Callbacks that are ready and are looked at in one go, while the GIL is held.
READY = 2_000


@dataclass(slots=True)
class TaskAccount:
    """What one task did in the window; nanoseconds."""

    task: ref[Task[Any]]
    polls: int = 0
    busy_ns: int = 0
    ready_ns: int = 0  # between its being ready and its step
    longest_ns: int = 0
    woke_itself: int = 0  # steps at whose end it was ready again at once
    began_ns: int = 0  # of the step that goes on


@dataclass(slots=True)
class StatsSum:
    """The same of all tasks of one coroutine that have ended, or of all callbacks that are no task's."""

    count: int = 0
    polls: int = 0
    busy_ns: int = 0
    ready_ns: int = 0
    longest_ns: int = 0

    def add(self, account: TaskAccount) -> None:
        """One more task that has ended."""
        self.count += 1
        self.polls += account.polls
        self.busy_ns += account.busy_ns
        self.ready_ns += account.ready_ns
        self.longest_ns = max(self.longest_ns, account.longest_ns)

    def add_callback(self, held_ns: int) -> None:
        """One more callback."""
        self.count += 1
        self.busy_ns += held_ns
        if held_ns > self.longest_ns:
            self.longest_ns = held_ns


@dataclass(frozen=True, slots=True)
class StatsWindow:
    """What was counted between two moments."""

    began_ns: int
    ended_ns: int
    accounts: dict[int, TaskAccount] = field(repr=False)  # by the `id` of the task
    ended: dict[str, StatsSum] = field(repr=False)  # by coroutine: the tasks that have ended
    callbacks: StatsSum
    looks: dict[int, int] = field(repr=False)  # at the loops that cannot be counted: how often a task ran
    looked: int  # so often; 0 when every loop is counted

    @property
    def length_ns(self) -> int:
        return self.ended_ns - self.began_ns

    def of(self, task: Task[Any]) -> TaskAccount:
        """What *task* did; nothing, if it had no step."""
        account = self.accounts.get(id(task))
        return account if account is not None and account.task() is task else TaskAccount(ref(task))

    def counts(self, task: Task[Any]) -> bool:
        """Whether the steps of *task* are counted."""
        return not self.looked or is_counted(task.get_loop())

    def estimated_ns(self, key: int) -> int:
        """How long the task of that `id` was busy, by how often it was seen to be."""
        return self.looks.get(key, 0) * self.length_ns // self.looked if self.looked else 0


class TaskStats:
    """The counting of this process."""

    def __init__(self) -> None:
        self.missed = 0  # steps of which nothing could be told
        self._lock = threading.Lock()
        self._undo: list[Callable[[], None]] = []
        self._is_on = False
        self._until_ns = 0
        self._stamps: dict[int, int] = {}  # when a callback became ready, by the `id` of its handle
        self._clear()

    def window(self, process: ProcessView, client: CommandClient) -> StatsWindow:
        """What the tasks did since this was asked before, but for `WINDOW_NS` at least."""
        with self._lock:
            self._until_ns = monotonic_ns() + KEPT_ON_NS
            if not self._is_on:
                self._begin()
                process.start_thread(lambda: self._end_in_time(process))
        views = process.loops()
        uncounted = [view for view in views if not is_counted(view.loop)]
        looking_since_ns = monotonic_ns()
        looks, looked = self._wait(uncounted, client)
        with self._lock:
            window = StatsWindow(
                looking_since_ns if looked and len(uncounted) == len(views) else self._began_ns,
                monotonic_ns(),
                self._accounts,
                self._ended,
                self._callbacks,
                looks,
                looked,
            )
            self._clear()
        for view in views:
            if is_counted(view.loop):
                self._add_running(view.loop, window)
                self._add_ready(view.loop, window)
        return window

    def abandon(self) -> None:
        """In a child after `fork`, where the thread is not that ends the counting."""
        self._lock = threading.Lock()
        self._put_back()

    def _begin(self) -> None:
        self._clear()
        self._is_on = True
        self._replace(Handle, "_run", self._counting(Handle._run))
        self._replace(BaseEventLoop, "_call_soon", self._stamping(vars(BaseEventLoop)["_call_soon"]))

    def _end_in_time(self, process: ProcessView) -> None:
        is_closed = False
        while not is_closed:
            left_s = (self._until_ns - monotonic_ns()) / 1e9
            is_closed = process.wait_closed(within_s=min(max(0.0, left_s), LOOK_AGAIN_S))
            with self._lock:
                if is_closed or monotonic_ns() >= self._until_ns:
                    self._put_back()
                    return

    def _put_back(self) -> None:
        self._is_on = False
        while self._undo:
            self._undo.pop()()
        self._clear()
        self._stamps.clear()

    def _clear(self) -> None:
        self._began_ns = monotonic_ns()
        self._accounts: dict[int, TaskAccount] = {}
        self._ended: dict[str, StatsSum] = {}
        self._callbacks = StatsSum()
        if len(self._stamps) > STAMPS:
            self._stamps.clear()

    def _wait(self, uncounted: list[LoopView], client: CommandClient) -> tuple[dict[int, int], int]:
        """Wait for the end of the window; meanwhile look at those loops."""
        until_ns = (monotonic_ns() if uncounted else self._began_ns) + WINDOW_NS
        looks: dict[int, int] = {}
        looked = 0
        while (left_s := (until_ns - monotonic_ns()) / 1e9) > 0:
            if client.has_left(within_s=min(left_s, LOOK_EVERY_S) if uncounted else left_s):
                break
            running = [id(current_task(view.loop)) for view in uncounted]
            for key in running:
                looks[key] = looks.get(key, 0) + 1
            looked += bool(running)
        return looks, looked

    def _replace(self, owner: Any, name: str, ours: object) -> None:
        own = vars(owner)[name]
        setattr(owner, name, ours)

        def undo() -> None:
            # Somebody who replaced it after us keeps theirs, and ours only passes on from then on.
            if vars(owner).get(name) is ours:
                setattr(owner, name, own)

        self._undo.append(undo)

    def _counting(self, own: Callable[[Handle], None]) -> Callable[[Handle], None]:
        # Runs for every callback: what it touches is a local of this closure, or one attribute away.
        clock, stamps, steps = monotonic_ns, self._stamps, self

        def _run(self: Handle) -> None:
            # Its parameter keeps the original's name: `probe/tasks/identity.py` looks for it on the stack.
            if not steps._is_on:
                own(self)
                return
            task: Any = getattr(self._callback, "__self__", None)  # type: ignore[attr-defined]
            if not isinstance(task, Task):
                began_ns = clock()
                own(self)
                stamps.pop(id(self), None)
                steps._callbacks.add_callback(clock() - began_ns)
                return
            accounts = steps._accounts
            account = accounts.get(id(task))
            # A task that is gone may have left its place to another one.
            if account is None or account.task() is not task:
                account = accounts[id(task)] = TaskAccount(ref(task))
            account.began_ns = began_ns = clock()
            ready_ns = stamps.pop(id(self), began_ns)
            own(self)
            held_ns = clock() - began_ns
            try:
                steps._count(task, account, began_ns, held_ns, ready_ns)
            except Exception:
                steps.missed += 1  # a task of somebody's own making

        return _run

    def _stamping(self, own: Callable[..., Handle]) -> Callable[..., Handle]:
        clock, stamps, steps = monotonic_ns, self._stamps, self

        def _call_soon(loop: Any, callback: Any, args: Any, context: Any) -> Handle:
            handle = own(loop, callback, args, context)
            if steps._is_on:
                stamps[id(handle)] = clock()
            # In debug mode a handle keeps the stack on which it was made: without this frame.
            if handle._source_traceback:  # type: ignore[attr-defined]
                del handle._source_traceback[-1]  # type: ignore[attr-defined]
            return handle

        return _call_soon

    def _count(
        self, task: Task[Any], account: TaskAccount, began_ns: int, held_ns: int, ready_ns: int
    ) -> None:
        window_ns = self._began_ns
        if began_ns < window_ns:
            # It began in the window before: what counts is the part within this one.
            account = self._accounts.setdefault(id(task), TaskAccount(ref(task)))
            held_ns, began_ns = held_ns - (window_ns - began_ns), window_ns
        account.began_ns = 0
        account.polls += 1
        account.busy_ns += held_ns
        account.ready_ns += began_ns - max(ready_ns, window_ns)
        if held_ns > account.longest_ns:
            account.longest_ns = held_ns
        if task.done():
            self._close(task, account)
        elif task._fut_waiter is None:  # type: ignore[attr-defined]  # a bare yield, as of `sleep(0)`
            account.woke_itself += 1

    def _close(self, task: Task[Any], account: TaskAccount) -> None:
        """The task has ended: from now on it is told with others of its kind."""
        self._accounts.pop(id(task), None)
        coroutine = task.get_coro()
        name = getattr(coroutine, "__qualname__", "") or type(coroutine).__qualname__
        if name not in self._ended and len(self._ended) >= KINDS:
            name = ""
        self._ended.setdefault(name, StatsSum()).add(account)

    def _add_running(self, loop: AbstractEventLoop, window: StatsWindow) -> None:
        """Add the step that is not over. One that began before the window has no time of its own."""
        task = current_task(loop)
        if task is not None:
            account = window.accounts.setdefault(id(task), TaskAccount(ref(task)))
            held_ns = window.ended_ns - (account.began_ns or window.began_ns)
            account.busy_ns += held_ns
            account.longest_ns = max(account.longest_ns, held_ns)

    def _add_ready(self, loop: AbstractEventLoop, window: StatsWindow) -> None:
        """Add the time of those who are ready and have not been run yet."""
        for handle in tuple(vars(loop).get("_ready", ()))[:READY]:
            task, since_ns = getattr(handle._callback, "__self__", None), self._stamps.get(id(handle))
            if isinstance(task, Task) and since_ns is not None:
                account = window.accounts.setdefault(id(task), TaskAccount(ref(task)))
                account.ready_ns += window.ended_ns - max(since_ns, window.began_ns)


STEPS = TaskStats()
os.register_at_fork(after_in_child=STEPS.abandon)


def is_counted(loop: AbstractEventLoop) -> bool:
    """Whether the steps of *loop* can be counted."""
    return isinstance(loop, BaseEventLoop)
